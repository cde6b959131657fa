"""LLVM text of straight-line numeric functions, written as Python expressions.

    f = Lines("lms.square.f64", 64)
    (x,) = f.params
    f.ret(x * x)

Each operator appends one instruction to the function; `f.text` is its definition. With `lanes` the same expressions make a
function of vectors. No instruction carries a fast-math flag.
"""

from __future__ import annotations

import struct
from typing import Literal

from lms.core.data import dataclass

Kind = Literal["f", "i", "b"]  # a float, an integer of the same width, a bool


def literal(value: float, bits: int) -> str:
    """A float constant, exact: LLVM reads the bits of a double whatever the width."""
    if bits == 32:
        value = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


@dataclass(frozen=True, eq=False, slots=True)
class V:
    """A value of the function being written."""

    f: Lines
    name: str
    kind: Kind

    def _op(self, floats: str, ints: str, other: V | float, swap: bool = False) -> V:
        a, b = self, self.f.lift(other, self.kind)
        return self.f.add(f"{floats if self.kind == 'f' else ints} {self.f.type(self.kind)}", *((b, a) if swap else (a, b)),
                          kind=self.kind)

    def __add__(self, other: V | float) -> V:
        return self._op("fadd", "add", other)

    def __radd__(self, other: float) -> V:
        return self._op("fadd", "add", other, swap=True)

    def __sub__(self, other: V | float) -> V:
        return self._op("fsub", "sub", other)

    def __rsub__(self, other: float) -> V:
        return self._op("fsub", "sub", other, swap=True)

    def __mul__(self, other: V | float) -> V:
        return self._op("fmul", "mul", other)

    def __rmul__(self, other: float) -> V:
        return self._op("fmul", "mul", other, swap=True)

    def __truediv__(self, other: V | float) -> V:
        return self._op("fdiv", "", other)

    def __rtruediv__(self, other: float) -> V:
        return self._op("fdiv", "", other, swap=True)

    def __neg__(self) -> V:
        return self.f.add(f"fneg {self.f.type('f')}", self, kind="f")

    def __and__(self, other: V | int) -> V:
        return self._op("", "and", other)

    def __xor__(self, other: V | int) -> V:
        return self._op("", "xor", other)

    def __lshift__(self, other: V | int) -> V:
        return self._op("", "shl", other)

    def __rshift__(self, other: V | int) -> V:
        """Keeps the sign."""
        return self._op("", "ashr", other)

    def _compare(self, floats: str, ints: str, other: V | float) -> V:
        head = f"fcmp {floats}" if self.kind == "f" else f"icmp {ints}"
        return self.f.add(f"{head} {self.f.type(self.kind)}", self, self.f.lift(other, self.kind), kind="b")

    def __lt__(self, other: V | float) -> V:
        return self._compare("olt", "slt", other)

    def __gt__(self, other: V | float) -> V:
        return self._compare("ogt", "sgt", other)

    def __le__(self, other: V | float) -> V:
        return self._compare("ole", "sle", other)

    def __ge__(self, other: V | float) -> V:
        return self._compare("oge", "sge", other)

    def equals(self, other: V | float) -> V:
        return self._compare("oeq", "eq", other)


class Lines:
    """The definition of one function of floats, being written."""

    def __init__(self, name: str, bits: int, arity: int = 1, lanes: int = 1) -> None:
        self.name, self.bits, self.lanes = name, bits, lanes
        self.lines: list[str] = []
        self.declares: set[str] = set()
        self.keeps: set[str] = set()
        self.params = tuple(V(self, f"%x{k}", "f") for k in range(arity))

    def element(self, kind: Kind) -> str:
        return {"f": "double" if self.bits == 64 else "float", "i": f"i{self.bits}", "b": "i1"}[kind]

    def type(self, kind: Kind) -> str:
        return self.element(kind) if self.lanes == 1 else f"<{self.lanes} x {self.element(kind)}>"

    def lift(self, value: V | float, kind: Kind) -> V:
        if isinstance(value, V):
            return value
        constant = str(int(value)) if kind == "i" else literal(value, self.bits)
        return V(self, constant if self.lanes == 1 else f"splat ({self.element(kind)} {constant})", kind)

    def add(self, head: str, *operands: V, kind: Kind) -> V:
        out = V(self, f"%v{len(self.lines)}", kind)
        self.lines.append(f"  {out.name} = {head} {', '.join(v.name for v in operands)}")
        return out

    def intrinsic(self, name: str, *operands: V) -> V:
        t, callee = self.type("f"), f"llvm.{name}.{'' if self.lanes == 1 else f'v{self.lanes}'}f{self.bits}"
        self.declares.add(f"declare {t} @{callee}({', '.join([t] * len(operands))})")
        return self.call(callee, operands)

    def call(self, callee: str, operands: tuple[V, ...], attributes: str = "") -> V:
        t = self.type("f")
        out = V(self, f"%v{len(self.lines)}", "f")
        args = ", ".join(f"{t} {v.name}" for v in operands)
        self.lines.append(f"  {out.name} = call {t} @{callee}({args}) {attributes}".rstrip())
        return out

    def fma(self, a: V | float, b: V | float, c: V | float) -> V:
        """`a * b + c`, rounded once where the processor can, the same way in scalar and vector code."""
        return self.intrinsic("fmuladd", self.lift(a, "f"), self.lift(b, "f"), self.lift(c, "f"))

    def abs(self, x: V) -> V:
        return self.intrinsic("fabs", x)

    def copysign(self, x: V, sign: V) -> V:
        return self.intrinsic("copysign", x, sign)

    def select(self, condition: V, yes: V | float, no: V | float) -> V:
        kind: Kind = next((v.kind for v in (yes, no) if isinstance(v, V)), "f")
        a, b, t = self.lift(yes, kind), self.lift(no, kind), self.type(kind)
        out = V(self, f"%v{len(self.lines)}", kind)
        self.lines.append(f"  {out.name} = select {self.type('b')} {condition.name}, {t} {a.name}, {t} {b.name}")
        return out

    def to_bits(self, x: V) -> V:
        return self._convert("bitcast", x, "i")

    def from_bits(self, x: V) -> V:
        return self._convert("bitcast", x, "f")

    def _convert(self, how: str, x: V, kind: Kind) -> V:
        out = V(self, f"%v{len(self.lines)}", kind)
        self.lines.append(f"  {out.name} = {how} {self.type(x.kind)} {x.name} to {self.type(kind)}")
        return out

    def poly(self, x: V, coefficients: list[float]) -> V:
        """The polynomial with these coefficients, lowest power first, by Estrin's scheme: short dependency chains."""
        terms: list[V | float] = list(coefficients)
        power = x
        while len(terms) > 1:
            pairs = [self.fma(b, power, a) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = [*pairs, *terms[len(terms) - len(terms) % 2:]]
            if len(terms) > 1:
                power = power * power
        return self.lift(terms[0], "f")

    def ret(self, x: V) -> None:
        self.lines.append(f"  ret {self.type('f')} {x.name}")

    def ret_but(self, x: V, rare: V, callee: str) -> None:
        """Return `x`; where `rare` holds, what the scalar function `callee` makes of the parameter."""
        t, one = self.type("f"), self.element("f")
        self.declares.add(f"declare {one} @{callee}({one})")
        any_, unlikely = rare.name, '!prof !{!"branch_weights", i32 1, i32 1048575}'
        if self.lanes > 1:
            reduce = f"llvm.vector.reduce.or.v{self.lanes}i1"
            self.declares.add(f"declare i1 @{reduce}({self.type('b')})")
            any_ = "%any"
            self.lines.append(f"  %any = call i1 @{reduce}({self.type('b')} {rare.name})")
        self.lines.append(f"  br i1 {any_}, label %rare, label %usual, {unlikely}\nusual:\n  ret {t} {x.name}\nrare:")
        if self.lanes == 1:
            self.lines.append(f"  %answer = call {t} @{callee}({t} {self.params[0].name}) nounwind\n  ret {t} %answer")
            return
        before = "poison"
        for k in range(self.lanes):
            self.lines += [f"  %from{k} = extractelement {t} {self.params[0].name}, i32 {k}",
                           f"  %to{k} = call {one} @{callee}({one} %from{k}) nounwind",
                           f"  %with{k} = insertelement {t} {before}, {one} %to{k}, i32 {k}"]
            before = f"%with{k}"
        self.lines.append(f"  %answer = select {self.type('b')} {rare.name}, {t} {before}, {t} {x.name}\n  ret {t} %answer")

    def written(self, linkage: str) -> str:
        """The definition: `internal` ones are for inlining, others for a library."""
        t, inline = self.type("f"), " alwaysinline" if linkage else ""
        params = ", ".join(f"{t} {p.name}" for p in self.params)
        body = "\n".join(self.lines)
        return f"define {linkage} {t} @{self.name}({params}){inline} nounwind willreturn memory(none) {{\n{body}\n}}\n"

    @property
    def text(self) -> str:
        return self.written("internal")
