"""Writes one function as C: what is inlined, what is named, what happens when.

An expression that is used once waits for its use (`pending`), unless the user gave it a name; what may fail or write is a
statement at its place, before which whatever must not be overtaken is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from lms.core import primitives as p
from lms.core.data import dataclass, replace
from lms.core.effects import NONE, Roots
from lms.core.errors import LmsError, Span
from lms.core.ir import Block, Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Dim, Size, SumType, Type, symbol

from ..identifiers import Scopes
from ..ownership import Ownership, managed
from .expressions import SIZES, Expr, number, plus, range_of, times, variable
from .names import RESERVED, quoted, size_name, spelled
from .signature import Module, Signature, told_by

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
LONGEST = 90  # an expression longer than this gets a name


@dataclass(frozen=True, slots=True)
class Array:
    """A handle: a pointer to the first element, sizes, strides in elements for layout `S`, and what keeps the memory alive."""

    data: str
    dims: tuple[Expr, ...]
    strides: tuple[Expr, ...] | None
    owner: str
    const: bool = False


V = Expr | Array
Rule = Callable[["FunctionWriter", Node], None]
RULES: dict[Primitive, Rule] = {}


def rule(*ops: Primitive) -> Callable[[Rule], Rule]:
    """Register what writes a primitive."""

    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, f))
        return f

    return register


@dataclass(slots=True)
class Line:
    """A line of C: what it says, where in the user's source it comes from; the variable it sets (or declares), if that is all."""

    text: str
    sets: str = ""
    span: Span | None = None
    declares: bool = False
    _words: tuple[str, ...] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The names in it, outside of string literals."""
        if self._words is None:
            self._words = tuple(set(re.findall(r"[A-Za-z_]\w*", _STRING.sub("", self.text))))
        return self._words


class FunctionWriter:
    """Fills one function. `env` holds the C of the program's values."""

    def __init__(self, module: Module, signature: Signature) -> None:
        self.module, self.signature = module, signature
        self.function, self.effects = signature.function, signature.unit.effects
        self.ownership = Ownership(self.function, signature.recursive, signature.unit.borrowing)
        self.changed = self.effects.changed(self.function)
        self.lines: list[Line] = []
        self.depth = 1
        self.span: Span | None = None
        self.names = Scopes(spelled, RESERVED, module.taken)
        self.env: dict[Value, V] = {}
        self.pending: dict[Value, Expr] = {}
        self.aims: dict[Value, Expr] = {}  # the variables that results of branches are to be left in
        self.sizes: dict[Size, Expr] = {}
        self.uses: Counter[Value] = Counter()
        self.dead: set[Node] = set()
        self._count(self.function.body)

    def _count(self, block: Block) -> None:
        """Count the uses of values, last node first, so that what only dead nodes use is dead too."""
        self.uses.update(block.results)
        for node in reversed(block.nodes):
            kept = not self.effects.of(node).pure or node.op.effect.control or any(managed(v.type) for v in node.results)
            if kept or any(self.uses[v] for v in node.results):
                self.uses.update(node.operands)
                for inner in node.blocks:
                    self._count(inner)
            else:
                self.dead.add(node)

    # ------------------------------------------------------------------------------- names and writing

    def name(self, hint: str, otherwise: str = "t") -> str:
        """A new name, taken until the block ends."""
        return self.names.new(hint, otherwise)

    @contextmanager
    def inner(self) -> Iterator[list[Line]]:
        """Lines of a block of their own, with names and pending expressions of their own."""
        saved = self.lines, self.pending, self.span
        self.lines, self.pending = [], {}
        self.depth += 1
        try:
            with self.names.block():
                yield self.lines
            self.lines[:] = without_idle(self.lines)
        finally:
            self.depth -= 1
            self.lines, self.pending, self.span = saved

    def write(self, text: str, sets: str = "") -> None:
        """A line that does something; what sets a variable can go where nobody reads it."""
        declares = bool(sets) and not text.startswith((f"{sets} =", f"{sets} +", f"{sets} -", f"{sets} *", f"{sets} /"))
        self.lines.append(Line("    " * self.depth + text, sets, self.span, declares))

    def close(self) -> None:
        """The end of a block."""
        self.lines.append(Line("    " * self.depth + "}"))

    def statement(self, text: str, changes: Roots = NONE) -> None:
        """Write a line that may change memory, after the pending expressions that read it."""
        self.settle(lambda v, x: bool(x.reads & changes))
        self.write(text)

    def settle(self, which: Callable[[Value, Expr], bool]) -> None:
        """Give names to pending expressions of this block."""
        for v, x in [(v, x) for v, x in self.pending.items() if which(v, x)]:
            if v in self.pending:
                del self.pending[v]
                self.env[v] = self.named(v, x)

    def named(self, v: Value, x: Expr) -> Expr:
        """A variable for a value."""
        return self.declare(v.type, v.name, x)

    def declare(self, t: Type, hint: str, x: Expr | None = None, otherwise: str = "t") -> Expr:
        """A variable for a number or record, with its first value if there is one."""
        name = self.name(hint, otherwise)
        self.write(f"{self.typed(t, name)}{f' = {x.text}' if x else ''};", sets=name)
        return variable(name, x.range if x else range_of(t))

    def typed(self, t: Type, name: str, const: bool = False) -> str:
        """The declaration of a variable: of an array, that of the pointer to its elements."""
        if isinstance(t, ArrayType):
            element = self.module.c_type(t.dtype)
            prefix = "const " if const else ""
            return f"{prefix}{element}{'' if element.endswith('*') else ' '}*{name}"
        base = self.module.c_type(t)
        return f"{base}{'' if base.endswith('*') else ' '}{name}"

    def place(self, span: Span | None = None) -> str:
        """The user's file and line, as two arguments."""
        span = span or self.span
        return f"{quoted(span.short.rpartition(':')[0])}, {span.line}" if span else '"", 0'

    # ------------------------------------------------------------------------------------ expressions

    def take(self, values: Iterable[Value]) -> list[Expr]:
        """The expressions of numbers and records; pending ones are used up."""
        return [self.one(v) for v in values]

    def one(self, v: Value) -> Expr:
        if v in self.pending:
            return self.pending.pop(v)
        found = self.env[v]
        assert isinstance(found, Expr)
        return found

    def array(self, v: Value) -> tuple[ArrayType, Array]:
        found = self.env[v]
        assert isinstance(v.type, ArrayType) and isinstance(found, Array)
        return v.type, found

    def get(self, v: Value) -> V:
        return self.env[v] if isinstance(v.type, ArrayType) else self.one(v)

    def offer(self, node: Node, x: Expr) -> None:
        """Let an expression wait for its only use, or give it a name."""
        v = node.result
        if node.op in (p.array.load, p.record.project, p.record.tag):
            x = replace(x, reads=x.reads | (self.effects.of(node).reads or frozenset(["record"])))
        if x.prec == 100 and not x.reads and (x.text.isidentifier() or x.constant is not None):
            self.env[v] = x
            return
        self.pending[v] = x
        if self.uses[v] != 1 or v.name or len(x.text) > LONGEST or isinstance(v.type, SumType):
            self.settle(lambda other, _: other is v)

    # -------------------------------------------------------------------------------------- arrays

    def size(self, d: Size) -> Expr | None:
        """A size that the function's parameters tell."""
        if isinstance(d, int):
            return number(d)
        if d in self.sizes:
            return self.sizes[d]
        if not told_by(d, {s.symbols[0] for s in self.sizes if isinstance(s, Dim) and s == symbol(s.symbols[0])}):
            return None
        total = number(0)
        for s, k in d.terms:
            total = plus(total, times(number(k), self.sizes[symbol(s)]))
        return replace(plus(total, number(d.const)), range=SIZES)

    def is_const(self, v: Value) -> bool:
        """Whether nothing in this function writes through a handle, nor through one that may mean the same memory."""
        return isinstance(v.type, ArrayType) and not isinstance(v.type.dtype, SumType) and not (
            self.effects.roots(v) & self.changed)

    def strides(self, a: Array) -> tuple[Expr, ...]:
        """The strides of an array of either layout, in elements."""
        if a.strides is not None:
            return a.strides
        out: list[Expr] = []
        for d in reversed(a.dims[1:]):
            out.append(times(out[-1], d) if out else d)
        return (*reversed(out), number(1)) if a.dims else ()

    def variables(self, v: Value, hint: str, init: V | None, fixed: Sequence[Expr | None] = ()) -> V:
        """Variables for a value that several paths give, of the type of `v`; sizes in `fixed` need none."""
        t = v.type
        if not isinstance(t, ArrayType):
            assert init is None or isinstance(init, Expr)
            return self.declare(t, hint, init)
        const = self.is_const(v)
        first = self.coerced(init, t) if isinstance(init, Array) else None
        data = self.name(hint, "a")
        self.write(f"{self.typed(t, data, const)}{f' = {self.pointer(first, t, const)}' if first else ''};", sets=data)
        owner = self.name(f"{data}_owner")
        self.write(f"void *{owner}{f' = {first.owner}' if first else ''};", sets=owner)
        dims = list[Expr]()
        for k, d in enumerate(t.dims):
            known = self.size(d) or (fixed[k] if fixed else None)
            dims.append(known or self._integer(f"{data}_size{k if t.rank > 1 else ''}", first.dims[k] if first else None))
        steps = None
        if t.layout == "S":
            begun = first.strides if first and first.strides else [None] * t.rank
            steps = tuple(self._integer(f"{data}_stride{k if t.rank > 1 else ''}", begun[k]) for k in range(t.rank))
        return Array(data, tuple(dims), steps, owner, const)

    def _integer(self, hint: str, init: Expr | None) -> Expr:
        name = self.name(hint)
        self.write(f"int64_t {name}{f' = {init.text}' if init else ''};", sets=name)
        return variable(name, SIZES if "_size" in hint else (-(2**62), 2**62))

    def pointer(self, a: Array, t: ArrayType, const: bool) -> str:
        """The pointer of an array where one is expected that may be written through."""
        return a.data if const or not a.const else f"({self.typed(t, '')}){a.data}".replace(" )", ")")

    def coerce(self, v: V, t: Type) -> V:
        """A value where another type is expected: a row-major array where strides are."""
        if isinstance(v, Array) and isinstance(t, ArrayType) and t.layout == "S" and v.strides is None:
            return replace(v, strides=self.strides(v))
        return v

    def coerced(self, a: Array, t: ArrayType) -> Array:
        found = self.coerce(a, t)
        assert isinstance(found, Array)
        return found

    def moves(self, target: V, source: V, t: Type) -> list[tuple[str, Expr, str]]:
        """The assignments that give variables the value of another: name, expression, type."""
        if isinstance(target, Expr):
            assert isinstance(source, Expr)
            return [(target.text, source, self.typed(t, "").rstrip())]
        source = self.coerce(source, t)
        assert isinstance(target, Array) and isinstance(source, Array) and isinstance(t, ArrayType)
        names = frozenset({source.data})
        out = [(target.data, Expr(self.pointer(source, t, target.const), names=names), self.typed(t, "", target.const)),
               (target.owner, Expr(source.owner, names=frozenset({source.owner})), "void *")]
        for mine, theirs in zip((*target.dims, *(target.strides or ())), (*source.dims, *(source.strides or ())), strict=True):
            if mine.text.isidentifier() and mine.text != theirs.text and mine not in self.sizes.values():
                out.append((mine.text, theirs, "int64_t"))
        return out

    def assign(self, moves: Sequence[tuple[str, Expr, str]]) -> None:
        """Assign variables at once: where one's new value needs another's old one, in an order that respects it."""
        left = [(name, x, t) for name, x, t in moves if x.text != name]
        while left:
            free = next((k for k, (name, _, _) in enumerate(left)
                         if not any(name in x.names for j, (_, x, _) in enumerate(left) if j != k)), None)
            if free is None:
                name, _, t = left[0]
                old = self.name(f"{name}_old")
                self.write(f"{t}{'' if t.endswith('*') else ' '}{old} = {name};", sets=old)
                left = [(n, x if n == name else _renamed(x, name, old), u) for n, x, u in left]
                continue
            name, x, _ = left.pop(free)
            if x.split and x.split[0] == name and x.split[1] in "+-*/" and name not in re.findall(r"\w+", x.split[2]):
                self.write(f"{name} {x.split[1]}= {x.split[2]};", sets=name)
            else:
                self.write(f"{name} = {x.text};", sets=name)

    # ----------------------------------------------------------------------------------- references

    def retain(self, v: Value) -> None:
        """One reference more to an array or record."""
        found = self.get(v)
        if isinstance(found, Array):
            if found.owner != "NULL":
                self.write(f"lms_retain({found.owner});")
        else:
            self.write(f"lms_retain_node({found.text});")

    def release(self, values: Sequence[Value]) -> None:
        """One reference less; nothing may read afterwards what this frees."""
        for v in values:
            found = self.env[v]
            text = found.owner if isinstance(found, Array) else found.text
            if text != "NULL":
                self.settle(lambda _, x: bool(x.reads))
                self.write(f"lms_release{'' if isinstance(found, Array) else '_node'}(lms, {text});")

    # ----------------------------------------------------------------------------------------- blocks

    def block(self, b: Block) -> None:
        """Write a block's nodes; afterwards each managed result holds a reference for whoever takes it."""
        releases = self.ownership.releases[b]
        self.release(releases.get(-1, ()))
        for i, node in enumerate(b.nodes):
            if node not in self.dead:
                self.node(node)
            self.release(releases.get(i, ()))
        for v in self.ownership.retains[b]:
            self.retain(v)
        self.release(releases.get(len(b.nodes), ()))

    def node(self, node: Node) -> None:
        write = RULES.get(node.op)
        if write is None:
            raise LmsError(f"`{node.op.name}` has no counterpart in C", node.span)
        self.span = node.span or self.span
        write(self, node)

    # -------------------------------------------------------------------------------------- the whole

    def source(self) -> list[Line]:
        """The function: its head, its body, its end."""
        body = self.function.body
        head = self._head()
        if self.signature.recursive:
            self.span = self.function.span
            self.write(f"if (lms_too_deep(lms, depth)) return lms_fail(lms, LMS_RECURSION_ERROR, {self.place()}, "
                       f"{quoted(f'{self.function.name} recursed too deeply')});")
        if self.ownership.arena:
            self.span = self.function.span
            self.write(f"char *arena = lms_array(lms, {self.place()}, 1, 0, 1, (int64_t[]){{{self.ownership.arena}}});")
            self.write("if (arena == NULL) return lms->status;")
        self.block(body)
        self._return()
        lines = without_idle(self.lines)
        words = {w for line in lines for w in line.words}
        unused = [Line(f"    (void){name};") for name in self._params if name not in words]
        return [Line(f"{head} {{"), *unused, *lines, Line("}")]

    def _head(self) -> str:
        """The head, with names for all parameters."""
        self._params: list[str] = []
        self._outs: list[str] = []
        params = self.function.body.params
        where = self.signature
        names = {k: self.name(v.name, "x") for k, v in enumerate(params)}
        sizes = {d: self.name(size_name(d)) for d in where.sizes}
        self.sizes = {d: variable(name, SIZES) for d, name in sizes.items()}
        texts = ["lms_context *lms"] if where.context else []
        texts += [f"int64_t {name}" for name in sizes.values()]
        self._params += ["lms"] * where.context + list(sizes.values())
        for k, v in enumerate(params):
            texts.append(self._param(k, v, names[k]))
            self._params.append(names[k])
            if not isinstance(v.type, ArrayType):
                self.env[v] = variable(names[k], range_of(v.type))
                continue
            owner, steps = "NULL", None
            if k in where.owners:
                owner = self.name(f"{names[k]}_owner")
                texts.append(f"void *{owner}")
                self._params.append(owner)
            if v.type.layout == "S":
                steps = tuple(variable(self.name(f"{names[k]}_stride{j if v.type.rank > 1 else ''}"), (-(2**62), 2**62))
                              for j in range(v.type.rank))
                texts += [f"int64_t {s.text}" for s in steps]
                self._params += [s.text for s in steps]
            dims = tuple(self.size(d) or number(0) for d in v.type.dims)
            self.env[v] = Array(names[k], dims, steps, owner, where.is_const(k))
        if not where.direct:
            for k, v in enumerate(self.function.body.results):
                texts += self._out(k, v)
        if where.recursive:
            texts.append("int64_t depth")
        result = self.module.c_type(self.function.body.results[0].type) if where.direct else "int" if where.fails else "void"
        static = "" if where.public else "static "
        return f"{static}{result}{'' if result.endswith('*') else ' '}{where.name}({', '.join(texts) or 'void'})"

    def _param(self, k: int, v: Value, name: str) -> str:
        if isinstance(v.type, ArrayType):
            const = self.signature.is_const(k)
            return self.typed(v.type, f"restrict {name}" if self.signature.restrict else name, const)
        return self.typed(v.type, name)

    def place_of(self, v: Value) -> str:
        """Where the caller wants a result that is made in its memory."""
        return self._outs[self.function.body.results.index(v)]

    def _out(self, k: int, v: Value) -> list[str]:
        """Where a result goes: for an array its pointer, its owner, and what the caller cannot know."""
        many = len(self.function.body.results) > 1
        hint = "result" if self.signature.public or v in self.signature.into else "out"
        out = self.name(f"{hint}{k if many else ''}")
        self._outs.append(out)
        if not isinstance(v.type, ArrayType):
            return [self.typed(v.type, f"*{out}")]
        if v in self.signature.into:
            return [self.typed(v.type, f"restrict {out}")]
        texts = [self.typed(v.type, f"*{out}"), f"void **{out}_owner"]
        texts += [f"int64_t *{out}_size{j}" for j, d in enumerate(v.type.dims) if not isinstance(d, int)]
        texts += [f"int64_t *{out}_stride{j}" for j in range(v.type.rank) if v.type.layout == "S"]
        return texts

    def _return(self) -> None:
        results, where = self.function.body.results, self.signature
        self.span = None
        if where.direct:
            self.write(f"return {self.one(results[0]).text};")
            return
        for v, out in zip(results, self._outs, strict=True):
            if v in where.into:
                continue
            found = self.coerce(self.get(v), v.type)
            if isinstance(found, Expr):
                self.write(f"*{out} = {found.text};")
                continue
            assert isinstance(v.type, ArrayType)
            self.write(f"*{out} = {self.pointer(found, v.type, False)};")
            self.write(f"*{out}_owner = {found.owner};")
            for j, d in enumerate(v.type.dims):
                if not isinstance(d, int):
                    self.write(f"*{out}_size{j} = {found.dims[j].text};")
            for j, s in enumerate(found.strides or ()):
                self.write(f"*{out}_stride{j} = {s.text};")
        if where.fails:
            self.write("return LMS_OK;")


def _renamed(x: Expr, name: str, new: str) -> Expr:
    if name not in x.names:
        return x
    return replace(x, text=re.sub(rf"\b{name}\b", new, x.text), names=x.names - {name} | {new}, split=None)


def without_idle(lines: list[Line]) -> list[Line]:
    """The lines of a block without the variables that it declares and nobody reads."""
    while True:
        reads: Counter[str] = Counter()
        gone: set[int] = set()
        setting: dict[str, list[int]] = {}
        for k in range(len(lines) - 1, -1, -1):  # a name may have meant another variable in a block before
            line = lines[k]
            if line.sets:
                setting.setdefault(line.sets, []).append(k)
                if line.declares and not reads[line.sets]:
                    gone.update(setting.pop(line.sets))
            for word in line.words:
                if word != line.sets:
                    reads[word] += 1
        if not gone:
            return lines
        lines = [line for k, line in enumerate(lines) if k not in gone]
