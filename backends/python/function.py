"""Writes one function of a program as Python: what is inlined, what is named, what happens when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from lms.core import primitives as p
from lms.core.data import replace
from lms.core.effects import NO_ACCESS, Access, Effects
from lms.core.ir import Block, Function, Node, Value, free_values, walk
from lms.core.types import ArrayType, SumType, f64, i64

from ..identifiers import Scopes
from . import linalg
from . import operations as ops
from .operations import ARRAYS, TERNARY, Expr, constant, join, strong
from .statements import STATEMENTS, only_assigned

LONGEST = 80  # an expression longer than this gets a name


class Module(Protocol):
    """What the functions of one program share."""

    effects: Effects
    taken: set[str]
    functions: dict[str, str]
    classes: dict[tuple[str, int], str]

    def given(self, function: Any) -> str: ...


def spelled(hint: str, otherwise: str) -> str:
    """An identifier close to the hint."""
    name = re.sub(r"\W", "_", hint, flags=re.ASCII).strip("_") or otherwise
    return f"_{name}" if name[0].isdigit() else name


class FunctionWriter:
    """Writes one function. `pending` holds expressions that wait for their only use; `bound` those that may be repeated."""

    def __init__(self, module: Module, function: Function, quiet: bool) -> None:
        self.module, self.subject, self.quiet = module, function, quiet
        self.effects = module.effects
        self.lines: list[str] = []
        self.depth = 1
        self.names = Scopes(spelled, module.taken)
        self.pending: dict[Value, Expr] = {}
        self.bound: dict[Value, Expr] = {}
        self.serial = 0
        self.targets: dict[Value, str] = {}  # results of branches that have a variable already
        self.uses: Counter[Value] = Counter()
        self.users: dict[Value, list[Node | None]] = {}  # None where a block hands it on
        self.dead: set[Node] = set()
        self.count(function.body)

    def source(self) -> list[str]:
        body = self.subject.body
        params = [self.variable(v, v.name, "x") for v in body.params]
        head = f"def {self.module.functions[self.subject.name]}({', '.join(params)}):"
        self.returning(body)
        doc = [f'    """{self.subject.doc}"""'] if self.subject.doc and '"""' not in self.subject.doc else []
        decorator = ['@np.errstate(all="ignore")'] if self.quiet else []
        return [*decorator, head, *doc, *(self.lines or ["    pass"])]

    def returning(self, block: Block) -> None:
        """A block that ends the function; where an `if` ends the block, its branches return."""
        last = block.nodes[-1] if block.nodes and block.results == block.nodes[-1].results else None
        if last and block.results and last.op is p.control.if_ and not all(map(_bare, last.blocks)):
            self.block(block, block.nodes[:-1])
            self.settle_for(last)
            (c,) = self.take(last.operands)
            self.before([c], self.effects.of(last))
            self.write(f"if {c.text}:")
            with self.indented() as lines:
                self.returning(last.blocks[0])
            self.lines += lines
            self.returning(last.blocks[1])
            return
        self.block(block)
        results = [strong(x, v.type) for x, v in zip(self.take(block.results), block.results, strict=True)]
        if results:
            self.statement(f"return {', '.join(x.text for x in results)}", results)

    def count(self, block: Block) -> None:
        """Count the uses of values, last node first, so that what only dead nodes use is dead too."""
        self.use(None, block.results)
        for node in reversed(block.nodes):
            kept = not self.effects.of(node).pure or node.op in (p.control.while_, p.control.call)  # these may never end
            if kept or any(self.uses[v] for v in node.results):
                self.use(node, node.operands)
                for inner in node.blocks:
                    self.count(inner)
            else:
                self.dead.add(node)

    def use(self, node: Node | None, values: Sequence[Value]) -> None:
        self.uses.update(values)
        for v in values:
            self.users.setdefault(v, []).append(node)

    # ------------------------------------------------------------------------------- names and writing

    def variable(self, v: Value, hint: str, otherwise: str = "t") -> str:
        """A variable for a value from here to the end of the block."""
        name = self.targets.pop(v, None) or self.name(hint, otherwise)
        self.bound[v] = Expr(name, names=frozenset({name}))
        return name

    def name(self, hint: str, otherwise: str = "t") -> str:
        """A new name, taken until the block ends."""
        return self.names.new(hint, otherwise)

    @contextmanager
    def indented(self) -> Iterator[list[str]]:
        """Lines of a block of their own; names made inside are free again after it."""
        outer, self.lines = self.lines, []
        self.depth += 1
        try:
            with self.names.block():
                yield self.lines
        finally:
            self.depth -= 1
            self.lines = outer

    def write(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def statement(self, text: str, parts: Sequence[Expr], access: Access = NO_ACCESS) -> None:
        """Write a line, after whatever must happen before it."""
        self.before(parts, access)
        self.write(text)

    def before(self, parts: Sequence[Expr], access: Access = NO_ACCESS) -> None:
        """Name the pending expressions that a line with these parts and this access must not overtake."""
        last = max((k for x in parts for k in x.raises), default=0)
        effect = not access.pure
        self.settle(lambda v, x: bool(x.reads & access.changes) or bool(x.raises) and (effect or x.raises[0] < last))

    def settle(self, which: Callable[[Value, Expr], bool]) -> None:
        """Give names to pending expressions, those that may raise in their order."""
        chosen = [(v, x) for v, x in self.pending.items() if which(v, x)]
        for v, x in sorted(chosen, key=lambda each: each[1].raises or (0,)):
            if v in self.pending:
                del self.pending[v]
                self.assign(v, x)

    def assign(self, v: Value, x: Expr) -> None:
        """Name an expression, after those that would have raised before it, or that mean a variable it replaces."""
        target = self.targets.get(v)
        self.settle(lambda _, other: target in other.names)
        self.settle(lambda _, other: bool(x.raises and other.raises) and other.raises < x.raises)
        if self.uses[v]:
            self.write(f"{self.variable(v, v.name)} = {x.text}")
            self.bound[v] = replace(self.bound[v], weak=x.weak, range=x.range)
        else:
            self.write(x.text)

    # ------------------------------------------------------------------------------------ expressions

    def take(self, values: Sequence[Value]) -> list[Expr]:
        """The expressions of operands, in order of evaluation; pending ones are used up."""
        order = [k for v in values if v in self.pending for k in self.pending[v].raises]
        waiting = {k for v, x in self.pending.items() if v not in values for k in x.raises}
        if order and (order != sorted(order) or any(order[0] < k < order[-1] for k in waiting)):
            self.settle(lambda v, x: bool(x.raises))
        return [self.pending.pop(v) if v in self.pending else self.bound[v] for v in values]

    def offer(self, node: Node, x: Expr) -> None:
        """Let an expression wait for its only use, or give it a name."""
        v, access = node.result, self.effects.of(node)
        x = join(x.text, [x, Expr("", reads=access.reads)], x.prec, x.weak, x.range)
        if access.raises:
            self.serial += 1
            x = join(x.text, [x, Expr("", raises=(self.serial,))], x.prec, x.weak, x.range)
        self.pending[v] = x
        size = node.op is p.array.dim and self.uses[v] == 1
        written = v in self.written and not only_assigned(v, self.users.get(v, [None])[0])
        if not size and (self.uses[v] != 1 or v.name or len(x.text) > LONGEST or written):
            self.settle(lambda other, _: other is v)

    @property
    def written(self) -> frozenset[Value]:
        """Handles that something writes through: they are named, so that the write is seen to be one."""
        if self._written is None:
            self._written = frozenset(node.operands[k] for node in walk(self.subject.body)
                                      for k in (*node.op.effect.writes, *node.op.effect.accumulates))
        return self._written

    _written: frozenset[Value] | None = None

    # ----------------------------------------------------------------------------------------- blocks

    def block(self, block: Block, nodes: Sequence[Node] | None = None) -> None:
        for node in block.nodes if nodes is None else nodes:
            self.node(node)
        self.settle(lambda v, x: bool(x.raises) and v.block is block and v not in block.results)

    def node(self, node: Node) -> None:
        if node in self.dead:
            return
        if node.op.effect.control:
            self.control(node)
        elif node.op is p.array.const:
            self.bound[node.result] = constant(node.attrs["value"], node.attrs["type"])
        elif node.op is p.array.broadcast and node.operands[0] in self.bound and self.loose(node):
            self.bound[node.result] = ops.spread(node, self.bound[node.operands[0]])
        elif (write := STATEMENTS.get(node.op.name) or linalg.STATEMENTS.get(node.op.name)) is not None:
            write(self, node)
        else:
            self.offer(node, self.expression(node))

    def expression(self, node: Node) -> Expr:
        name = node.op.name
        if name in ("select", "and", "or") and not isinstance(node.result.type, ArrayType):
            self.settle(lambda v, x: bool(x.raises) and v in node.operands[1:])  # Python may leave these out
        if node.op is p.array.broadcast and self.loose(node):
            return ops.spread(node, self.take(node.operands[:1])[0])
        parts = self.take(node.operands)
        if name == "index":
            return self.checked_index(node, parts)
        if name == "construct":
            parts = [strong(x, v.type) for x, v in zip(parts, node.operands, strict=True)]
            return ops.call(self.module.classes[node.attrs["type"].name, node.attrs["tag"]], parts)
        if name == "project":
            t = node.operands[0].type
            assert isinstance(t, SumType)
            field, _ = t.constructors[node.attrs["tag"]].fields[node.attrs["field"]]
            return join(f"{parts[0].at(ops.ATOM)}.{field}", parts)
        if (word := ARRAYS.get(name) or linalg.ARRAYS.get(name)) is not None:
            return word(node, parts)
        return ops.elementwise(node, parts)

    def loose(self, node: Node) -> bool:
        """Whether a `broadcast` may be left to NumPy wherever it is used; an array, only if nothing writes to it meanwhile."""
        v, x = node.result, node.operands[0]
        return all(_broadcasts_itself(v, user) for user in self.users[v]) and (
            not isinstance(x.type, ArrayType)
            or self.uses[v] == 1 and not self.effects.roots(x) & self.effects.changed(self.subject))

    def checked_index(self, node: Node, parts: list[Expr]) -> Expr:
        where = [f'"{node.span.short}: "'] if node.span else []
        if isinstance(node.result.type, ArrayType):
            return ops.call("indices" if p.array.wraps(node.attrs) else "subscripts", parts, *where)
        i, n = parts
        x = ops.call("index" if p.array.wraps(node.attrs) else "subscript", [i, n], *where)
        return join(x.text, [x], weak=i.weak or n.weak, range=(0, ops.FULL[1] - 1))

    # ---------------------------------------------------------------------------------------- control

    def control(self, node: Node) -> None:
        self.settle_for(node)
        {"if": self.if_, "for": self.for_, "while": self.while_, "call": self.call}[node.op.name](node)

    def settle_for(self, node: Node) -> None:
        """Before anything that holds blocks: name what the blocks use, and what they may change or overtake."""
        access = self.effects.of(node)
        inside = free_values(*node.blocks)
        loop = node.op in (p.control.for_, p.control.while_)
        self.settle(lambda v, x: v in inside or bool(x.reads & access.changes) or
                    bool(x.raises) and not access.pure and (loop or v not in node.operands))

    def call(self, node: Node) -> None:
        parts = [strong(x, v.type) for x, v in zip(self.take(node.operands), node.operands, strict=True)]
        text = f"{self.module.functions[node.attrs['callee']]}({', '.join(x.text for x in parts)})"
        access = self.effects.of(node)
        if len(node.results) == 1 and not (access.changes or access.io):
            self.offer(node, join(text, parts))
            return
        self.results(node, text, parts, access)

    def results(self, node: Node, text: str, parts: Sequence[Expr], access: Access) -> None:
        """A line that makes all results of a node."""
        self.before(parts, access)
        names = ", ".join(self.variable(v, v.name) for v in node.results)
        self.write((f"{names} = " if names else "") + text)

    def if_(self, node: Node) -> None:
        (c,) = self.take(node.operands)
        then, otherwise = node.blocks
        if len(node.results) == 1 and all(map(_bare, node.blocks)):
            for b in node.blocks:
                self.block(b)
            (x,), (y,) = self.take(then.results), self.take(otherwise.results)
            (v,) = node.results
            self.pending[v] = join(f"{x.at(TERNARY + 1)} if {c.at(TERNARY + 1)} else {y.at(TERNARY)}", [c, x, y], TERNARY,
                                   x.weak or y.weak, (min(x.range[0], y.range[0]), max(x.range[1], y.range[1])))
            if self.uses[v] != 1 or v.name:
                self.settle(lambda other, _: other is v)
            return
        self.before([c], self.effects.of(node))
        aims = {self.targets[v] for v in node.results if v in self.targets}
        self.settle(lambda v, x: bool(x.names & aims))
        names = [self.variable(v, v.name) for v in node.results]
        first, weak_then = self.branch(then, names)
        second, weak_else = self.branch(otherwise, names)
        for v, one, other in zip(node.results, weak_then, weak_else, strict=True):
            self.bound[v] = replace(self.bound[v], weak=v.type == f64 and (one or other))
        if not first and second:
            self.write(f"if not {c.at(ops.NOT)}:")
            self.lines += second
            return
        self.write(f"if {c.text}:")
        self.lines += first or ["    " * (self.depth + 1) + "pass"]
        if second:
            self.otherwise(second)

    def otherwise(self, lines: list[str]) -> None:
        """`else:`, or `elif` where the block is one `if` and nothing else."""
        inner, margin = "    " * (self.depth + 1), "    " * self.depth
        rest = (line[len(inner):] for line in lines[1:])
        if lines[0].startswith(f"{inner}if ") and all(line.startswith((" ", "else", "elif")) for line in rest):
            self.lines += [f"{margin}el{lines[0].strip()}", *(line[4:] for line in lines[1:])]
        else:
            self.write("else:")
            self.lines += lines

    def branch(self, block: Block, names: list[str]) -> tuple[list[str], list[bool]]:
        """The lines of a branch that leaves its results in variables; and which of them are weak."""
        with self.indented() as lines:
            self.aim(block, names)
            self.block(block)
            weak = self.assign_all(names, block.results, weak=True)
        return lines, weak

    def aim(self, block: Block, names: Sequence[str]) -> None:
        """Let an `if` whose results a block hands on assign them to their variables itself, where nobody reads those after it."""
        for v, name in zip(block.results, names, strict=True):
            if v.node is not None and v.node.op is p.control.if_ and v.block is block and v not in self.targets:
                after = Block((), block.nodes[block.nodes.index(v.node) + 1:], block.results)
                if not any(w in self.bound and name in self.bound[w].names for w in free_values(after)):
                    self.targets[v] = name

    def assign_all(self, names: Sequence[str], values: Sequence[Value], weak: bool | Sequence[bool]) -> list[bool]:
        """Assign variables at once: in one line where one's new value needs another's old one. Says which are weak."""
        may = [weak] * len(names) if isinstance(weak, bool) else weak
        parts = [x if allowed and v.type != i64 else strong(x, v.type)
                 for x, v, allowed in zip(self.take(values), values, may, strict=True)]
        moves = [(name, x) for name, x in zip(names, parts, strict=True) if x.text != name]
        if any(name in x.names for k, (name, _) in enumerate(moves) for _, x in moves[k + 1:]):
            targets, sources = (", ".join(each) for each in zip(*((name, x.text) for name, x in moves), strict=True))
            self.statement(f"{targets} = {sources}", [x for _, x in moves])
        else:
            for name, x in moves:
                self.statement(f"{name} = {x.text}", [x])
        return [x.weak for x in parts]

    # ------------------------------------------------------------------------------------------ loops

    def carried(self, node: Node, inits: Sequence[Value], params: Sequence[Value]) -> tuple[list[str], list[bool]]:
        """Variables for what a loop carries, holding their first values; one that is not used again is carried on itself."""
        names, weak = list[str](), list[bool]()
        for v, param in zip(inits, params, strict=True):
            old = self.bound.get(v)
            last = self.uses[v] == 1 and v.block is node.results[0].block
            if last and old is not None and {old.text} == old.names and not (old.weak and v.type == i64):
                names.append(old.text)
                weak.append(old.weak)
            else:
                (x,) = self.take([v])
                x = strong(x, v.type) if v.type == i64 else x
                names.append(self.name(param.name or v.name))
                weak.append(x.weak)
                self.statement(f"{names[-1]} = {x.text}", [x])
        return names, weak

    def bind(self, values: Sequence[Value], names: Sequence[str], weak: Sequence[bool]) -> None:
        for v, name, w in zip(values, names, weak, strict=True):
            self.bound[v] = Expr(name, weak=w and v.type == f64, names=frozenset({name}))

    def for_(self, node: Node) -> None:
        (body,) = node.blocks
        bounds = self.take(node.operands[:3])
        names, weak = self.carried(node, node.operands[3:], body.params[1:])
        start, stop, step = bounds
        self.before(bounds)
        counter = self.name(body.params[0].name, "i")
        self.names.free(counter)  # the next loop may use it again
        with self.indented() as lines:
            self.names.hold(counter)
            lo, hi = (start.range[0], stop.range[1] - 1) if step.range[0] > 0 else (stop.range[0] + 1, start.range[1])
            self.bound[body.params[0]] = Expr(counter, weak=True, range=(lo, max(lo, hi)), names=frozenset({counter}))
            self.bind(body.params[1:], names, weak)
            self.aim(body, names)
            self.block(body)
            self.assign_all(names, body.results, weak)
        ends = [start, stop, step] if step.text != "1" else [start, stop] if start.text != "0" else [stop]
        self.write(f"for {counter} in range({', '.join(x.text for x in ends)}):")
        self.lines += lines or ["    " * (self.depth + 1) + "pass"]
        self.bind(node.results, names, weak)

    def while_(self, node: Node) -> None:
        condition, body = node.blocks
        names, weak = self.carried(node, node.operands, body.params)
        with self.indented() as lines:
            self.bind(condition.params, names, weak)
            self.block(condition)
            (c,) = self.take(condition.results)
            simple = not lines
            if not simple:
                self.statement(f"if not {c.at(ops.NOT)}:", [c])
                self.write("    break")
            self.bind(body.params, names, weak)
            self.aim(body, names)
            self.block(body)
            self.assign_all(names, body.results, weak)
        self.write(f"while {c.text if simple else 'True'}:")
        self.lines += lines or ["    " * (self.depth + 1) + "pass"]
        self.bind(node.results, names, weak)


def _broadcasts_itself(v: Value, node: Node | None) -> bool:
    """Whether NumPy spreads an operand here, to the shape of one that is not a `broadcast`."""
    if node is None or node.op in (p.array.assign, p.array.add_into):
        return node is not None and v is not node.operands[0]
    spread = [w.node is not None and w.node.op is p.array.broadcast for w in node.operands]
    return node.op.elementwise and node.op is not p.scalar.complex_ and not all(spread)


def _bare(block: Block) -> bool:
    """Nothing but constants, or nothing at all."""
    return len(block.results) == 1 and all(node.op is p.array.const for node in block.nodes)


