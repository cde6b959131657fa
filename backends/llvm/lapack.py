"""Linear algebra by SciPy's LAPACK and BLAS: `lu_into` and its kin, each a call or two on one row-major matrix.

LAPACK counts columns first and so sees every matrix transposed. It takes everything by reference, sizes as 32-bit integers.
What it cannot do (a matrix that is not positive definite, no convergence) leaves NaN, for the program's own check to find.
"""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import Scalar, i64

from .abi import DATA, Site
from .arrays import add, multiply
from .blas import LETTER
from .blas import MODULE as BLAS
from .control import counted
from .values import Array, llvm_type
from .writer import Writer, rule

LAPACK = "scipy.linalg.cython_lapack"
_NAN = "0x7FF8000000000000"


class _Calls:
    """Calls of routines for one element type, from the rule of one node."""

    def __init__(self, w: Writer, node: Node, dtype: Scalar) -> None:
        self.w, self.node, self.dtype = w, node, dtype
        self.type, self.align = llvm_type(dtype), dtype.bits // 8
        self._scratch: list[str] = []

    def routine(self, name: str, *arguments: str, module: str = LAPACK) -> None:
        w, full = self.w, LETTER[self.dtype.name] + name
        symbol = f"lms_lapack_{full}"
        w.module.imports[symbol] = module, full
        w.module.declares.add(f"declare void @{symbol}({', '.join(['ptr'] * len(arguments))})")
        w.do(f"call void @{symbol}({', '.join(f'ptr {x}' for x in arguments)})")

    def letter(self, which: str) -> str:
        """A place that holds a letter: one, or the register of its code."""
        place = self.w.alloca("i8", 1)
        code = str(ord(which)) if len(which) == 1 else which
        self.w.do(f"store i8 {code}, ptr {place}, align 1")
        return place

    def size(self, n: str) -> str:
        """A place that holds a size as LAPACK has it."""
        w = self.w
        fits = "true" if _number(n) and int(n) < 2**31 else w.op(f"icmp slt i64 {n}, 2147483648")
        w.check(fits, Site(self.node.span, "ValueError", "LAPACK counts in 32 bits, found a size of {}", (i64,)), [(i64, n)])
        return self.integer(w.op(f"trunc i64 {n} to i32"))

    def leading(self, n: str) -> str:
        """As `size`, where LAPACK wants at least 1."""
        return self.size(self.most(n, "1"))

    def integer(self, register: str = "0") -> str:
        place = self.w.alloca("i32", 4)
        self.w.do(f"store i32 {register}, ptr {place}, align 4")
        return place

    def one(self) -> str:
        place = self.w.alloca(self.type)
        self.w.do(f"store {self.type} 1.0, ptr {place}, align {self.align}")
        return place

    def most(self, x: str, y: str) -> str:
        return self._choose("smax", x, y)

    def least(self, x: str, y: str) -> str:
        return self._choose("smin", x, y)

    def _choose(self, which: str, x: str, y: str) -> str:
        if _number(x) and _number(y):
            return str(max(int(x), int(y)) if which == "smax" else min(int(x), int(y)))
        self.w.module.declares.add(f"declare i64 @llvm.{which}.i64(i64, i64)")
        return self.w.op(f"call i64 @llvm.{which}.i64(i64 {x}, i64 {y})")

    def polynomial(self, *terms: tuple[int, tuple[str, ...]]) -> str:
        """The sum of coefficients times products of sizes."""
        total = "0"
        for coefficient, factors in terms:
            product = str(coefficient)
            for factor in factors:
                product = multiply(self.w, product, factor)
            total = add(self.w, total, product)
        return total

    def work(self, count: str, item: int | None = None) -> str:
        """Memory for so many elements, or items of so many bytes, until `done`."""
        w = self.w
        bytes_ = multiply(w, self.most(count, "1"), str(item or self.align))
        block = w.op(f"call noalias ptr @lms_new(ptr %ctx, i64 {bytes_}, i64 0)")
        site = Site(self.node.span, "MemoryError", "no memory for LAPACK's {} numbers", (i64,))
        w.check(w.op(f"icmp ne ptr {block}, null"), site, [(i64, count)])
        self._scratch.append(block)
        return w.op(f"getelementptr inbounds i8, ptr {block}, i64 {DATA}")

    def at(self, data: str, row: str, columns: str, column: str) -> str:
        """The address of an element of a row-major matrix."""
        place = add(self.w, multiply(self.w, row, columns), column)
        return self.w.op(f"getelementptr inbounds {self.type}, ptr {data}, i64 {place}")

    def done(self) -> None:
        for block in self._scratch:
            self.w.do(f"call void @lms_release(ptr %ctx, ptr {block})")

    def void_unless(self, info: str, *arrays: tuple[str, str]) -> None:
        """Where a routine has failed, put NaN everywhere: into so many elements from each address."""
        w = self.w
        failed = w.op(f"icmp ne i32 {w.op(f'load i32, ptr {info}, align 4')}, 0")
        for data, count in arrays:

            def fill(i: str, _: list[str], data: str = data) -> list[str]:
                place = w.op(f"getelementptr inbounds {self.type}, ptr {data}, i64 {i}")
                w.do(f"store {self.type} {_NAN}, ptr {place}, align {self.align}")
                return []

            counted(w, "0", w.op(f"select i1 {failed}, i64 {count}, i64 0"), [], [], fill)


def _number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _start(w: Writer, node: Node) -> tuple[_Calls, list[Array]]:
    t, _ = w.array(node.operands[0])
    assert isinstance(t.dtype, Scalar)
    return _Calls(w, node, t.dtype), [w.array(v)[1] for v in node.operands]


@rule(p.linalg.lu_into)
def _lu(w: Writer, node: Node) -> None:
    calls, (f, pivots, _) = _start(w, node)
    n = f.dims[0]
    size, lead, info, places = calls.size(n), calls.leading(n), calls.integer(), calls.work(n, 4)
    calls.routine("getrf", size, size, f.data, lead, places, info)

    def convert(i: str, _: list[str]) -> list[str]:
        """LAPACK counts from 1, in 32 bits."""
        k = w.op(f"load i32, ptr {w.op(f'getelementptr inbounds i32, ptr {places}, i64 {i}')}, align 4")
        k = w.op(f"sext i32 {w.op(f'sub i32 {k}, 1')} to i64")
        w.do(f"store i64 {k}, ptr {w.op(f'getelementptr inbounds i64, ptr {pivots.data}, i64 {i}')}, align 8")
        return []

    counted(w, "0", n, [], [], convert)
    calls.done()


@rule(p.linalg.triangular_into)
def _triangular(w: Writer, node: Node) -> None:
    """Of one column, from the left; of several, transposed, from the right."""
    calls, (x, _, t) = _start(w, node)
    attrs, (n, k) = node.attrs, x.dims
    single = "true" if k == "1" else w.op(f"icmp eq i64 {k}, 1")
    left, right = ("T", "N") if not attrs["transposed"] else ("N", "T")
    side = calls.letter(w.op(f"select i1 {single}, i8 {ord('L')}, i8 {ord('R')}"))
    turned = calls.letter(w.op(f"select i1 {single}, i8 {ord(left)}, i8 {ord(right)}"))
    part, unit = calls.letter("U" if attrs["lower"] else "L"), calls.letter("U" if attrs["unit"] else "N")
    rows = w.op(f"select i1 {single}, i64 {n}, i64 {k}")
    columns = w.op(f"select i1 {single}, i64 {k}, i64 {n}")
    calls.routine("trsm", side, part, turned, unit, calls.size(rows), calls.size(columns), calls.one(), t.data, calls.leading(n),
                  x.data, calls.leading(rows), module=BLAS)


@rule(p.linalg.cholesky_into)
def _cholesky(w: Writer, node: Node) -> None:
    calls, (a, _) = _start(w, node)
    n, info = a.dims[0], calls.integer()
    calls.routine("potrf", calls.letter("U"), calls.size(n), a.data, calls.leading(n), info)
    calls.void_unless(info, (a.data, multiply(w, n, n)))


@rule(p.linalg.eigh_into)
def _eigh(w: Writer, node: Node) -> None:
    calls, (values, vectors, _) = _start(w, node)
    n, info = vectors.dims[0], calls.integer()
    room = calls.polynomial((1, ()), (6, (n,)), (2, (n, n)))
    rooms = calls.polynomial((3, ()), (5, (n,)))
    calls.routine("syevd", calls.letter("V"), calls.letter("L"), calls.size(n), vectors.data, calls.leading(n), values.data,
                  calls.work(room), calls.size(room), calls.work(rooms, 4), calls.size(rooms), info)
    calls.void_unless(info, (values.data, n), (vectors.data, multiply(w, n, n)))
    calls.done()


@rule(p.linalg.svd_into)
def _svd(w: Writer, node: Node) -> None:
    calls, (u, s, v, a) = _start(w, node)
    (n, m), info = a.dims, calls.integer()
    k, most = calls.least(m, n), calls.most(m, n)
    room = calls.polynomial((5, (k, k)), (8, (k,)), (1, (most,)), (1, ()))
    calls.routine("gesdd", calls.letter("A" if node.attrs["full"] else "S"), calls.size(m), calls.size(n), a.data,
                  calls.leading(m), s.data, u.data, calls.leading(m), v.data, calls.leading(v.dims[1]), calls.work(room),
                  calls.size(room), calls.work(multiply(w, "8", k), 4), info)
    calls.void_unless(info, (s.data, k), (u.data, multiply(w, u.dims[0], m)), (v.data, multiply(w, n, v.dims[1])))
    calls.done()


@rule(p.linalg.qr_into)
def _qr(w: Writer, node: Node) -> None:
    """LAPACK factors the transpose, `L Q`: L is our R, transposed, and its Q ours."""
    calls, (q, r, a) = _start(w, node)
    (m, n), info = a.dims, calls.integer()
    k = calls.least(m, n)
    room = multiply(w, "32", calls.most(m, n))
    scalars, work = calls.work(k), calls.work(room)
    calls.routine("gelqf", calls.size(n), calls.size(m), a.data, calls.leading(n), scalars, work, calls.size(room), info)

    def each(rows: str, columns: str, out: Array, upper: bool) -> None:
        """Copy a matrix of so many rows and columns, with zeros below its diagonal where it is triangular."""
        def row(i: str, _: list[str]) -> list[str]:
            def element(j: str, _: list[str]) -> list[str]:
                v = w.op(f"load {calls.type}, ptr {calls.at(a.data, i, n, j)}, align {calls.align}")
                if upper:
                    v = w.op(f"select i1 {w.op(f'icmp sge i64 {j}, {i}')}, {calls.type} {v}, {calls.type} 0.0")
                w.do(f"store {calls.type} {v}, ptr {calls.at(out.data, i, columns, j)}, align {calls.align}")
                return []

            counted(w, "0", columns, [], [], element)
            return []

        counted(w, "0", rows, [], [], row)

    each(k, n, r, upper=True)
    each(m, k, q, upper=False)
    calls.routine("orglq", calls.size(k), calls.size(m), calls.size(k), q.data, calls.leading(k), scalars, work, calls.size(room),
                  info)
    calls.done()
