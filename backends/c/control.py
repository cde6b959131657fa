"""Control flow in C: branches, loops, calls."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.data import replace
from lms.core.ir import Block, Node, Value, free_values
from lms.core.types import ArrayType, i64

from .expressions import COMPARE, FULL, SIZES, Expr, call, infix, join, negated, number, ternary, variable
from .function import LONGEST, Array, FunctionWriter, Line, V, rule


def settle_for(w: FunctionWriter, node: Node) -> None:
    """Before anything that holds blocks: name what the blocks use, and what reads memory that they may change."""
    inside, access = free_values(*node.blocks), w.effects.of(node)
    w.settle(lambda v, x: v in inside or bool(x.reads & access.changes) or "record" in x.reads)


@rule(p.control.if_)
def _if(w: FunctionWriter, node: Node) -> None:
    settle_for(w, node)
    c = w.one(node.operands[0])
    then, otherwise = node.blocks
    if (x := _choice(w, node, c)) is not None:
        w.offer(node, x)
        return
    slots = [w.aims.pop(v) if v in w.aims else w.variables(v, v.name, None) for v in node.results]
    first, second = (_branch(w, node, b, slots) for b in (then, otherwise))
    w.env.update(zip(node.results, slots, strict=True))
    if not first and second:
        w.write(f"if ({negated(c)}) {{")
        w.lines += second
    else:
        w.write(f"if ({c.text}) {{")
        w.lines += first
        if second:
            w.close()
            _otherwise(w, second)
    w.close()


def _otherwise(w: FunctionWriter, lines: list[Line]) -> None:
    """`else`, or `else if` where the block is one `if` and nothing else."""
    inner, margin = "    " * (w.depth + 1), "    " * w.depth
    closing = [k for k, line in enumerate(lines) if line.text == f"{inner}}}"]
    chained = {k + 1 for k in closing if k + 1 < len(lines) and lines[k + 1].text.startswith(f"{inner}else")}
    alone = lines[0].text.startswith(f"{inner}if (") and lines[0].text.endswith("{") and closing and (
        closing[-1] == len(lines) - 1) and len(closing) - 1 == len(chained)
    if not alone:
        w.write("else {")
        w.lines += lines
        return
    w.lines.append(Line(f"{margin}else {lines[0].text.strip()}", "", lines[0].span))
    w.lines += [replace(line, text=line.text.removeprefix("    ")) for line in lines[1:-1]]


def _choice(w: FunctionWriter, node: Node, c: Expr) -> Expr | None:
    """`c ? x : y`, where the branches do nothing but compute one number each."""
    if len(node.results) != 1 or isinstance(node.results[0].type, ArrayType):
        return None
    if any(len(b.nodes) > 3 or any(not n.op.elementwise and n.op not in (p.array.const, p.array.load) for n in b.nodes)
           or w.ownership.retains[b] or any(w.ownership.releases[b].values()) for b in node.blocks):
        return None
    parts = []
    saved = dict(w.env)
    for b in node.blocks:
        with w.inner() as lines:
            w.block(b)
            parts.append(w.one(b.results[0]))
            if lines:
                w.env = saved
                return None
    x = ternary(c, *parts)
    if len(x.text) > LONGEST:
        w.env = saved
        return None
    return x


def _branch(w: FunctionWriter, node: Node, b: Block, slots: Sequence[V]) -> list[Line]:
    """The lines of a branch that leaves its results in variables."""
    for slot, v in zip(slots, b.results, strict=True):  # an `if` in here may fill the variable itself
        if isinstance(slot, Expr) and w.uses[v] == 1 and v.node in b.nodes and v.node.op is p.control.if_:
            w.aims[v] = slot
    with w.inner() as lines:
        w.block(b)
        moves = [m for slot, v, r in zip(slots, b.results, node.results, strict=True) for m in w.moves(slot, w.get(v), r.type)]
        w.assign(moves)
    return lines


# ------------------------------------------------------------------------------------------------ loops


def _enter(w: FunctionWriter, node: Node, inits: Sequence[Value], body: Block, params: Sequence[Value]) -> list[V]:
    """Variables for what a loop carries, holding their first values; what does not change stays what it is."""
    unchanged, moved = w.ownership.invariant[node], w.ownership.moved.get(node, frozenset())
    for k in w.ownership.kept(node):
        if k not in moved:
            w.retain(node.operands[k])
    out: list[V] = []
    for k, (v, param) in enumerate(zip(inits, params, strict=True)):
        init = w.get(v)
        if k in unchanged:
            if isinstance(init, Expr) and not (init.text.isidentifier() or init.constant is not None):
                init = w.declare(param.type, param.name or v.name, init)
            found = w.coerce(init, param.type)
            out.append(found)
            continue
        types = [x.type for x in (v, body.results[k], node.results[k], param)]
        fixed = [init.dims[j] if isinstance(init, Array) and all(isinstance(t, ArrayType) and t.dims[j] == types[0].dims[j]
                                                                 for t in types) else None
                 for j in range(types[0].rank)] if isinstance(types[0], ArrayType) else []
        hint = param.name or node.results[k].name or v.name
        target = w.variables(param, hint, init, fixed)
        if isinstance(target, Expr):
            target = Expr(target.text, target.prec, FULL, names=target.names)
        out.append(target)
    return out


def _turn(w: FunctionWriter, node: Node, body: Block, slots: Sequence[V], params: Sequence[Value]) -> None:
    """The end of a body: what is carried takes its next values."""
    unchanged = w.ownership.invariant[node]
    w.assign([m for k, (slot, v, param) in enumerate(zip(slots, body.results, params, strict=True)) if k not in unchanged
              for m in w.moves(slot, w.get(v), param.type)])


def _bind(w: FunctionWriter, values: Sequence[Value], slots: Sequence[V]) -> None:
    w.env.update(zip(values, slots, strict=True))


@rule(p.control.for_)
def _for(w: FunctionWriter, node: Node) -> None:
    settle_for(w, node)
    (body,) = node.blocks
    params = body.params[1:]
    start, stop, step = w.take(node.operands[:3])
    by = step.constant
    assert by is not None
    stop = stop if _steady(stop) else w.declare(i64, "", stop, "stop")
    slots = _enter(w, node, node.operands[3:], body, params)
    counter = w.name(body.params[0].name, "i")
    head = _head(w, counter, start, stop, by)
    with w.inner() as lines:
        lo, hi = (start.range[0], stop.range[1] - 1) if by > 0 else (stop.range[0] + 1, start.range[1])
        w.env[body.params[0]] = variable(counter, (lo, max(lo, hi)))
        _bind(w, params, slots)
        w.block(body)
        _turn(w, node, body, slots, params)
    w.write(head)
    w.lines += lines
    w.close()
    w.names.free(counter)  # the next loop may use it again
    _bind(w, node.results, slots)


def _steady(x: Expr) -> bool:
    """Whether an expression may be computed again before every iteration."""
    return not x.reads and (x.text.isidentifier() or x.constant is not None or (
        x.split is not None and x.split[1] in "+-" and all(part.isalnum() for part in (x.split[0], x.split[2]))))


def _head(w: FunctionWriter, i: str, start: Expr, stop: Expr, by: int) -> str:
    """The head of a counted loop whose counter never goes beyond 64 bits."""
    if by < 0 and stop.constant is not None and stop.constant < 2**62:
        compare = f"{i} >= {stop.constant + 1}"
    else:
        compare = infix("<" if by > 0 else ">", COMPARE, variable(i), stop).text
    if by in (1, -1):
        return f"for (int64_t {i} = {start.text}; {compare}; {i}{'++' if by > 0 else '--'}) {{"
    beyond = stop.range[1] + by > 2**63 - 1 if by > 0 else stop.range[0] + by < -(2**63)
    if not beyond:
        return f"for (int64_t {i} = {start.text}; {compare}; {i} {'+' if by > 0 else '-'}= {abs(by)}) {{"
    more = w.name("more")
    near, far = (start, stop) if by > 0 else (stop, start)
    w.write(f"uint64_t {more} = {far.at(70)} > {near.at(70)} ? ((uint64_t){far.at(90)} - (uint64_t){near.at(90)} - 1) / "
            f"{abs(by)}u + 1 : 0;")
    return f"for (int64_t {i} = {start.text}; {more} > 0; {more}--, {i} = lms_add_i64({i}, {by})) {{"


@rule(p.control.while_)
def _while(w: FunctionWriter, node: Node) -> None:
    settle_for(w, node)
    condition, body = node.blocks
    slots = _enter(w, node, node.operands, body, body.params)
    with w.inner() as lines:
        _bind(w, condition.params, slots)
        w.block(condition)
        c = w.one(condition.results[0])
        simple = not lines
        if not simple:
            w.write(f"if ({negated(c)}) break;")
        w.pending = {}
        _bind(w, body.params, slots)
        w.block(body)
        _turn(w, node, body, slots, body.params)
    w.write(f"while ({c.text}) {{" if simple else "for (;;) {")
    w.lines += lines
    w.close()
    _bind(w, node.results, slots)


# ------------------------------------------------------------------------------------------------ calls


@rule(p.control.call)
def _call(w: FunctionWriter, node: Node) -> None:
    callee = w.signature.unit.signatures[node.attrs["callee"]]
    access = w.effects.of(node)
    params = callee.function.body.params
    values = [w.coerce(w.get(v), param.type) for v, param in zip(node.operands, params, strict=True)]
    names, reads = list[Expr](), list[Expr]()
    texts = ["lms"] if callee.context else []
    for d in callee.sizes:
        k, axis = next((k, j) for k, v in enumerate(params) if isinstance(v.type, ArrayType)
                       for j, e in enumerate(v.type.dims) if e == d)
        found = values[k]
        assert isinstance(found, Array)
        texts.append(found.dims[axis].text)
        names.append(found.dims[axis])
    for k, (v, x) in enumerate(zip(params, values, strict=True)):
        if isinstance(x, Expr):
            texts.append(x.text)
            names.append(x)
            continue
        assert isinstance(v.type, ArrayType)
        texts.append(w.pointer(x, v.type, callee.is_const(k)))
        reads.append(Expr("", reads=w.effects.roots(node.operands[k]), names=frozenset({x.data})))
        if k in callee.owners:
            texts.append(x.owner)
        texts += [s.text for s in x.strides or ()]
    if callee.direct and not access.changes and not access.io:
        x = call(callee.name, [])
        w.offer(node, join(f"{x.text[:-1]}{', '.join(texts)})", [*names, *reads, Expr("", reads=access.reads)]))
        return
    if callee.direct and not w.uses[node.result]:
        w.statement(f"{callee.name}({', '.join(texts)});", access.changes)
        return
    if callee.direct:
        name = w.name(node.result.name)
        w.statement(f"{w.typed(node.result.type, name)} = {callee.name}({', '.join(texts)});", access.changes)
        w.env[node.result] = variable(name)
        return
    results = []
    for v, r in zip(callee.function.body.results, node.results, strict=True):
        slot, outs = _receive(w, r, v)
        texts += outs
        results.append((r, slot))
    if callee.recursive:
        texts.append("depth + 1" if w.signature.recursive else "0")
    text = f"{callee.name}({', '.join(texts)})"
    w.statement(f"LMS_TRY({text});" if callee.fails else f"{text};", access.changes)
    for r, slot in results:
        w.env[r] = slot


def _receive(w: FunctionWriter, r: Value, v: Value) -> tuple[V, list[str]]:
    """Variables for a result of a call, and their addresses."""
    if not isinstance(r.type, ArrayType):
        name = w.name(r.name)
        w.write(f"{w.typed(r.type, name)};")
        return variable(name), [f"&{name}"]
    t = v.type
    assert isinstance(t, ArrayType)
    data = w.name(r.name, "a")
    owner = w.name(f"{data}_owner")
    w.write(f"{w.typed(t, data)};")
    w.write(f"void *{owner};")
    outs, dims, steps = [f"&{data}", f"&{owner}"], list[Expr](), list[Expr]()
    for j, d in enumerate(t.dims):
        if isinstance(d, int):
            dims.append(number(d))
            continue
        size = w.name(f"{data}_size{j}")
        w.write(f"int64_t {size};")
        outs.append(f"&{size}")
        dims.append(variable(size, SIZES))
    for j in range(t.rank if t.layout == "S" else 0):
        name = w.name(f"{data}_stride{j}")
        w.write(f"int64_t {name};")
        outs.append(f"&{name}")
        steps.append(variable(name, (-(2**62), 2**62)))
    dims = [number(d) if isinstance(d, int) else found for d, found in zip(r.type.dims, dims, strict=True)]
    found = w.coerce(Array(data, tuple(dims), tuple(steps) if t.layout == "S" else None, owner), r.type)
    return found, outs

