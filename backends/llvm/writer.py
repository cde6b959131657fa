"""Writing LLVM text: a module's tables, and one function at a time, instruction by instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lms.core.data import dataclass, field, replace
from lms.core.errors import Span
from lms.core.ir import Function, Node, Program, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, SumType, Type

from ..ownership import Borrowing, Ownership
from .abi import CONTEXT, DATA, VALUES, Site, Status, offsets
from .aliases import Scopes
from .debug import DebugInfo
from .serial import parallel_nodes
from .values import Array, Complex, V, llvm_type, memory_type, pack, parts, unpack

COLD = "!prof !0"  # of a conditional branch whose first target is the usual one
WEIGHTS = ['!0 = !{!"branch_weights", i32 1048575, i32 1}', '!1 = !{!"branch_weights", i32 1, i32 1048575}']
FAST = "reassoc contract "
LOOSE = "reassoc nsz contract "  # with `fastmath`: also the sign of zero may change, so that factors can be taken out


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ between two compilations of one program.

    `boundscheck=False` drops every `index` check; `depth` bounds recursion; `poll=False` leaves out the checks for Ctrl-C;
    `count=True` counts the memory of calls.
    """

    fastmath: bool = False
    boundscheck: bool = True
    depth: int = 1_000_000
    poll: bool = True
    debug: bool = False
    count: bool = False


@dataclass(slots=True)
class ModuleWriter:
    """What the functions of a module share: sites, declarations, parts of the runtime and helpers they need."""

    program: Program
    options: Options
    recursive: dict[str, int]  # functions in a cycle of calls, and which cycle
    kinds: dict[tuple[str, int], int]  # of record nodes, by sum and tag
    sites: list[Site] = field(default_factory=list)
    callbacks: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)  # of the table of math functions
    helpers: dict[str, str] = field(default_factory=dict)  # by name, the text of generated helpers
    declares: set[str] = field(default_factory=set)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=lambda: list(WEIGHTS))
    debug: DebugInfo | None = None
    shared: set[str] = field(default_factory=set)  # functions that are not to be inlined
    sure: set[str] = field(default_factory=set)  # those written so far that cannot fail
    borrowing: Borrowing = field(default_factory=dict)
    loops: bool = False
    arrays: dict[int, Node] = field(default_factory=dict)
    apart: bool = False  # whether the entry function only calls what computes

    def site(self, site: Site) -> int:
        self.sites.append(site)
        return len(self.sites) - 1

    def meta(self, text: str) -> str:
        """A new metadata node; its name."""
        self.metadata.append(f"!{len(self.metadata)} = {text}")
        return f"!{len(self.metadata) - 1}"

    def loop(self, advice: str, value: int) -> str:
        """What marks one loop with a piece of advice."""
        said = self.meta(f'!{{!"{advice}", i32 {value}}}')
        return self.meta(f"distinct !{{!{len(self.metadata)}, {said}}}")

    def helper(self, name: str, text: Callable[[], str]) -> str:
        """A generated function that is written once, at first need."""
        if name not in self.helpers:
            self.helpers[name] = ""
            self.helpers[name] = text()
        return name


def quoted(name: str, what: str = "f") -> str:
    """The LLVM name of a function of the program, or of something that belongs to it."""
    return f'"lms.{what}.{escaped(name)}"'


def escaped(name: str) -> str:
    """Any text as it stands in a quoted name of LLVM."""
    return "".join(c if c.isalnum() and c.isascii() or c in "._-$<>" else f"\\{b:02X}" for ch in name for c, b in _bytes(ch))


def _bytes(ch: str) -> list[tuple[str, int]]:
    return [(ch if len(ch.encode()) == 1 else "\\", b) for b in ch.encode()]


def returned(function: Function) -> str:
    """What a function returns: the registers of its results, then its status."""
    results = [t for v in function.body.results for t in parts(v.type)]
    return f"{{ {', '.join([*results, 'i32'])} }}" if results else "i32"


class Writer:
    """Fills one LLVM function. `env` holds the LLVM values of the program's values; `plan` comes before its nodes are written."""

    ownership: Ownership
    parallel: set[Node]

    def __init__(self, module: ModuleWriter, function: Function, scopes: Scopes, returned: str) -> None:
        self.module, self.function, self.scopes, self.returned = module, function, scopes, returned
        self.serial = True  # whether the operation being written can never be part of a vector
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.label = "entry"
        self.env: dict[Value, V] = {}
        self.depth = 0  # of loops
        self.loops = False  # whether there has been one
        self._failing: list[tuple[int, str]] = []  # errors to be noted: site and status, and the block they come from
        self._leaving: list[tuple[str, str]] = []  # errors that have been: status, and the block
        self.arena = "null"  # the block of the small arrays that are not on the stack
        self.recursive = function.name in module.recursive
        self._count = 0
        self._dbg = ""

    def plan(self) -> None:
        """Decide who owns what, and what can be part of a vector."""
        self.ownership = Ownership(self.function, self.recursive, self.module.borrowing)
        self.parallel = parallel_nodes(self.function, self.module.options.fastmath)

    # ------------------------------------------------------------------------------------------ instructions

    def name(self, hint: str = "v") -> str:
        self._count += 1
        return f"%{hint}{self._count}"

    def op(self, text: str) -> str:
        """Append an instruction that gives a value; its name."""
        name = self.name()
        self.lines.append(f"  {name} = {text}{self._dbg}")
        return name

    def do(self, text: str) -> None:
        """Append an instruction that gives none."""
        self.lines.append(f"  {text}{self._dbg}")

    def at(self, span: Span | None) -> None:
        """Give the instructions from here on a source position."""
        if self.module.debug is not None:
            self._dbg = self.module.debug.location(self.function, span)

    def alloca(self, type_: str, align: int = 8) -> str:
        """Memory on the stack, for the whole activation."""
        name = self.name("a")
        self.allocas.append(f"  {name} = alloca {type_}, align {align}")
        return name

    # ------------------------------------------------------------------------------------------------ blocks

    def new_label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def jump(self, label: str, extra: str = "") -> None:
        self.do(f"br label %{label}{', ' + extra if extra else ''}")

    def branch(self, condition: str, then: str, other: str, extra: str = "") -> None:
        self.do(f"br i1 {condition}, label %{then}, label %{other}{', ' + extra if extra else ''}")

    def phi(self, type_: str, sources: Iterable[tuple[str, str]]) -> str:
        return self.op(f"phi {type_} " + ", ".join(f"[ {v}, %{label} ]" for v, label in sources))

    def phi_later(self, type_: str) -> tuple[str, Callable[[Sequence[tuple[str, str]]], None]]:
        """A phi at this place, whose sources are told afterwards."""
        self.loops = True
        name, place, dbg = self.name("p"), len(self.lines), self._dbg
        self.lines.append("")

        def fill(sources: Sequence[tuple[str, str]]) -> None:
            self.lines[place] = f"  {name} = phi {type_} " + ", ".join(f"[ {v}, %{label} ]" for v, label in sources) + dbg

        return name, fill

    # ------------------------------------------------------------------------------------------------ failing

    def context(self, field_: str) -> str:
        """The address of a field of the context."""
        return self.op(f"getelementptr inbounds i8, ptr %ctx, i64 {CONTEXT[field_]}")

    def give_up(self, status: str) -> None:
        """Leave the function with an error that the context tells of; the block ends here."""
        self._leaving.append((status, self.label))
        self.jump("leave")

    def fail(self, status: Status, site: str) -> None:
        """Leave the function, the error noted in the context."""
        self._failing.append((int(site) << 32 | int(status), self.label))
        self.jump("fail")

    def check(self, ok: str, site: Site, values: Sequence[tuple[Type, V]] = (), status: Status = Status.CHECK) -> None:
        """Go on if `ok`, else fail at the site, with the values for its message."""
        if ok == "true":
            return
        go, bad = self.new_label("ok"), self.new_label("bad")
        self.branch(ok, go, bad, COLD)
        self.start(bad)
        self.store_values(values)
        self.fail(status, str(self.module.site(site)))
        self.start(go)

    def unless(self, status: str) -> None:
        """Go on if a callee's status is zero, else leave with it."""
        go = self.new_label("ok")
        self._leaving.append((status, self.label))
        self.branch(self.op(f"icmp eq i32 {status}, 0"), go, "leave", COLD)
        self.start(go)

    def unless_null(self, block: str) -> None:
        """Go on if a callee gave memory; else it has noted why."""
        go = self.new_label("ok")
        self._leaving.append((str(int(Status.CHECK)), self.label))
        self.branch(self.op(f"icmp ne ptr {block}, null"), go, "leave", COLD)
        self.start(go)

    @property
    def sure(self) -> bool:
        """Whether nothing written so far can fail."""
        return not (self._leaving or self._failing)

    def exits(self) -> None:
        """Write the blocks through which errors leave the function, after all others: one that notes them, one that returns."""
        self._dbg = ""
        if self._failing:
            self.start("fail")
            code = self.phi("i64", [(str(code), label) for code, label in self._failing])
            site = self.op(f"trunc i64 {self.op(f'lshr i64 {code}, 32')} to i32")
            status = self.op(f"trunc i64 {code} to i32")
            self.do(f"store i32 {site}, ptr {self.context('site')}, align 4")
            self.do(f"store i32 {status}, ptr {self.context('status')}, align 4")
            self.give_up(status)
        if self._leaving:
            self.start("leave")
            status = self.phi("i32", self._leaving)
            whole, count = self.returned, self.returned.count(",")
            self.do(f"ret {whole} {self.op(f'insertvalue {whole} poison, i32 {status}, {count}') if count else status}")

    def store_values(self, values: Sequence[tuple[Type, V]]) -> None:
        """Put the operands of an error's message into the context."""
        at = offsets(tuple(t for t, _ in values))
        for (t, v), slot in zip(values, at, strict=False):
            self.store_slots("%ctx", VALUES + 8 * slot, t, v)

    # ------------------------------------------------------------------------------------------------- memory

    def load(self, t: Scalar | SumType, address: str, meta: str = "") -> V:
        """An element."""
        if isinstance(t, SumType):
            return self.op(f"load ptr, ptr {address}, align 8{meta}")
        lt = llvm_type(t)
        if t.is_complex:
            second = self.op(f"getelementptr inbounds {lt}, ptr {address}, i64 1")
            size = t.bits // 16
            return Complex(self.op(f"load {lt}, ptr {address}, align {size}{meta}"),
                           self.op(f"load {lt}, ptr {second}, align {size}{meta}"))
        if t.kind == "b":
            return self.op(f"icmp ne i8 {self.op(f'load i8, ptr {address}, align 1{meta}')}, 0")
        return self.op(f"load {lt}, ptr {address}, align {t.bits // 8}{meta}")

    def store(self, t: Scalar | SumType, v: V, address: str, meta: str = "") -> None:
        """Put an element."""
        if isinstance(t, SumType):
            self.do(f"store ptr {v}, ptr {address}, align 8{meta}")
        elif isinstance(v, Complex):
            lt, size = llvm_type(t), t.bits // 16
            second = self.op(f"getelementptr inbounds {lt}, ptr {address}, i64 1")
            self.do(f"store {lt} {v.re}, ptr {address}, align {size}{meta}")
            self.do(f"store {lt} {v.im}, ptr {second}, align {size}{meta}")
        elif t.kind == "b":
            self.do(f"store i8 {self.op(f'zext i1 {v} to i8')}, ptr {address}, align 1{meta}")
        else:
            self.do(f"store {memory_type(t)} {v}, ptr {address}, align {t.bits // 8}{meta}")

    def store_slots(self, base: str, offset: int, t: Type, v: V) -> None:
        """Put a value into slots, in the encoding of `abi`."""
        for k, (type_, register) in enumerate(self._registers(t, v)):
            address = self.op(f"getelementptr inbounds i8, ptr {base}, i64 {offset + 8 * k}")
            if type_ == "i1":
                type_, register = "i64", self.op(f"zext i1 {register} to i64")
            self.do(f"store {type_} {register}, ptr {address}, align 8")

    def _registers(self, t: Type, v: V) -> list[tuple[str, str]]:
        if isinstance(v, Array):
            return [("ptr", v.owner), ("ptr", v.data), *(("i64", d) for d in v.dims), *(("i64", s) for s in v.strides or ())]
        return list(zip(parts(t), pack(v, t), strict=True))

    def load_slots(self, base: str, offset: int, t: Type) -> V:
        """Take a value out of slots."""
        at = offset

        def take(type_: str) -> str:
            nonlocal at
            address = self.op(f"getelementptr inbounds i8, ptr {base}, i64 {at}")
            at += 8
            if type_ == "i1":
                return self.op(f"icmp ne i8 {self.op(f'load i8, ptr {address}, align 8')}, 0")
            return self.op(f"load {type_}, ptr {address}, align 8")

        if isinstance(t, ArrayType):
            owner, data = take("ptr"), take("ptr")
            dims = []
            for d in t.dims:
                size = take("i64") if not isinstance(d, int) else str(d)
                at += 8 * isinstance(d, int)
                dims.append(size)
            return Array(owner, data, tuple(dims), tuple(take("i64") for _ in dims) if t.layout == "S" else None)
        return unpack(t, iter([take(p) for p in parts(t)]))

    # ------------------------------------------------------------------------------------------------- values

    def get(self, v: Value) -> V:
        offset = self.ownership.in_arena.get(v)
        if offset is None:
            return self.env[v]
        # an address of its own for every use: kept, thousands would wait in registers
        found = self.env[v]
        assert isinstance(found, Array)
        return replace(found, data=self.op(f"getelementptr inbounds i8, ptr {self.arena}, i64 {DATA + offset}"))

    def scalar(self, v: Value) -> str:
        """The one register of a real scalar or a record."""
        found = self.env[v]
        assert isinstance(found, str)
        return found

    def array(self, v: Value) -> tuple[ArrayType, Array]:
        found = self.get(v)
        assert isinstance(found, Array) and isinstance(v.type, ArrayType)
        return v.type, found

    def flags(self, node: Node) -> str:
        """Fast-math flags of a node: with `fast`, sums may be reassociated and products contracted."""
        return LOOSE if self.module.options.fastmath else FAST if node.attrs.get("fast") else ""

    def meta(self, array: Value) -> str:
        """What an access through a handle may alias."""
        return self.scopes.metadata(array)


Rule = Callable[[Writer, Node], Sequence[V] | None]
RULES: dict[Primitive, Rule] = {}


def rule(*ops: Primitive) -> Callable[[Rule], Rule]:
    """Register how operations are written: a function that gives the LLVM values of the results (none: `None`)."""

    def register(f: Rule) -> Rule:
        for op in ops:
            RULES[op] = f
        return f

    return register
