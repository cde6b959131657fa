"""Control flow in LLVM: branches, loops, calls, checks, and the calls back into Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.errors import Span
from lms.core.ir import Block, Node, Value, walk
from lms.core.types import ArrayType, Type

from .abi import Site, Status, offsets
from .arrays import coerce, release, retain
from .values import V, pack, parts, unpack
from .vecmath import POLYNOMIALS
from .writer import COLD, RULES, Writer, quoted, returned, rule

STRIP = 1 << 16  # iterations between two polls of a loop that holds no other
ITERATION = 16  # fuel of one iteration of a loop that holds others
LONG = 32  # operations of a body that is not worth interleaving
POLYNOMIAL = 16  # operations of a transcendental function of ours


# ----------------------------------------------------------------------------------------------- blocks


def block(w: Writer, b: Block) -> None:
    """Write a block's nodes; afterwards each managed result holds a reference for whoever takes it."""
    plan = w.ownership
    releases = plan.releases[b]
    _release(w, releases.get(-1, ()))
    for i, node in enumerate(b.nodes):
        w.at(node.span)
        results = RULES[node.op](w, node) or ()
        for v, found in zip(node.results, results, strict=True):
            w.env[v] = found
        _release(w, releases.get(i, ()))
    for v in plan.retains[b]:
        retain(w, v)
    _release(w, releases.get(len(b.nodes), ()))


def _release(w: Writer, values: Sequence[Value]) -> None:
    for v in values:
        release(w, v)


def _same_sizes(ours: Type, *others: Type) -> list[bool]:
    """For each register of a value, whether it is a size that all of the types name alike: then it needs no phi."""
    if not isinstance(ours, ArrayType):
        return [False] * len(parts(ours))
    same = [all(isinstance(t, ArrayType) and t.dims[k] == d for t in others)
            for k, d in enumerate(ours.dims) if not isinstance(d, int)]
    return [False, False, *same, *[False] * (len(parts(ours)) - 2 - len(same))]


@rule(p.control.if_)
def _if(w: Writer, node: Node) -> Sequence[V]:
    condition = w.scalar(node.operands[0])
    labels = [w.new_label("then"), w.new_label("else")]
    after = w.new_label("end")
    w.branch(condition, *labels)
    arms: list[tuple[str, list[list[str]]]] = []
    for label, b in zip(labels, node.blocks, strict=True):
        w.start(label)
        block(w, b)
        values = [pack(coerce(w, w.get(v), v.type, r.type), r.type) for v, r in zip(b.results, node.results, strict=True)]
        arms.append((w.label, values))
        w.jump(after)
    w.start(after)
    out: list[V] = []
    for k, r in enumerate(node.results):
        registers = [w.phi(type_, [(arm[k][j], label) for label, arm in arms]) for j, type_ in enumerate(parts(r.type))]
        out.append(unpack(r.type, iter(registers)))
    return out


# ------------------------------------------------------------------------------------------------ loops

Registers = list[str]


def counted(w: Writer, low: str, high: str, types: Sequence[str], inits: Registers,
            body: Callable[[str, Registers], Registers], tail: Callable[[], None] | None = None, long: bool = False) -> Registers:
    """`for i in range(low, high)` in the form LLVM likes best, with carried registers; what they are in the end."""
    header, inside, after = (w.new_label(hint) for hint in ("loop", "body", "end"))
    before = w.label
    w.jump(header)
    w.start(header)
    i, fill_i = w.phi_later("i64")
    phis = [w.phi_later(t) for t in types]
    w.branch(w.op(f"icmp slt i64 {i}, {high}"), inside, after)
    w.start(inside)
    out = body(i, [name for name, _ in phis])
    following = w.op(f"add nsw i64 {i}, 1")
    if tail is not None:
        tail()
    fill_i([(low, before), (following, w.label)])
    for (_, fill), first, last in zip(phis, inits, out, strict=True):
        fill([(first, before), (last, w.label)])
    w.jump(header, f"!llvm.loop {w.module.loop('llvm.loop.interleave.count', 1)}" if long else "")
    w.start(after)
    return [name for name, _ in phis]


def stripped(w: Writer, low: str, high: str, types: Sequence[str], inits: Registers,
             body: Callable[[str, Registers], Registers], span: Span | None, long: bool = False) -> Registers:
    """`counted` in strips, with a poll after each."""
    header, inside, after = (w.new_label(hint) for hint in ("strips", "strip", "end"))
    before = w.label
    w.jump(header)
    w.start(header)
    base, fill_base = w.phi_later("i64")
    phis = [w.phi_later(t) for t in types]
    w.branch(w.op(f"icmp slt i64 {base}, {high}"), inside, after)
    w.start(inside)
    more = w.op(f"icmp ugt i64 {w.op(f'sub i64 {high}, {base}')}, {STRIP}")
    top = w.op(f"select i1 {more}, i64 {w.op(f'add i64 {base}, {STRIP}')}, i64 {high}")
    out = counted(w, base, top, types, [name for name, _ in phis], body, long=long)
    again = w.new_label("again")
    back = w.new_label("poll")
    w.branch(more, back, again)
    w.start(back)
    charge(w, str(STRIP))
    poll(w, span)
    w.jump(again)
    w.start(again)
    fill_base([(low, before), (top, again)])
    for (_, fill), first, last in zip(phis, inits, out, strict=True):
        fill([(first, before), (last, again)])
    w.jump(header)
    w.start(after)
    return [name for name, _ in phis]


def charge(w: Writer, work: str) -> None:
    """Burn fuel: the work that was done since the last poll."""
    fuel = w.context("fuel")
    left = w.op(f"load i64, ptr {fuel}, align 8")
    w.do(f"store i64 {w.op(f'sub i64 {left}, {work}')}, ptr {fuel}, align 8")


def poll(w: Writer, span: Span | None) -> None:
    """Where the fuel is used up, ask whether to go on."""
    w.module.callbacks.add("lms_poll")
    left = w.op(f"load i64, ptr {w.context('fuel')}, align 8")
    go, ask = w.new_label("ok"), w.new_label("ask")
    w.branch(w.op(f"icmp sge i64 {left}, 0"), go, ask, COLD)
    w.start(ask)
    name = "lms_outside_poll" if w.module.recursive else "lms_poll"
    # as far as the program can see it writes to the context alone, so loads may still leave the loop
    answer = w.op(f"call i32 @{name}(ptr %ctx) memory(argmem: readwrite, inaccessiblemem: readwrite)")
    stop = w.new_label("stop")
    w.branch(w.op(f"icmp eq i32 {answer}, 0"), go, stop, COLD)
    w.start(stop)
    w.fail(Status.INTERRUPT, str(w.module.site(Site(span, "KeyboardInterrupt"))))
    w.start(go)


def _heavy(b: Block) -> bool:
    """Whether a loop's body holds a loop or a call, so that it is no innermost loop."""
    return any(node.op in (p.control.for_, p.control.while_, p.control.call, p.array.contract_into, p.array.argsort_into,
                           p.control.print_, p.control.py_call, *p.linalg.LAPACK) for node in walk(b))


def _long(b: Block) -> bool:
    """Whether a body keeps the processor busy alone. LLVM would interleave two copies of it or four, and take as much longer."""
    return sum(POLYNOMIAL if node.op.name in POLYNOMIALS else 1 for node in walk(b)) > LONG


class _Carried:
    """The carried values of a loop as registers; what does not change stays outside."""

    def __init__(self, w: Writer, node: Node, inits: Sequence[Value], params: Sequence[Value], results: Sequence[Value]) -> None:
        self.w, self.params, self.results = w, params, results
        unchanged = w.ownership.invariant[node]
        moved = w.ownership.moved.get(node, frozenset())
        for k in w.ownership.kept(node):
            if k not in moved:
                retain(w, node.operands[k])
        self.init = [coerce(w, w.get(v), v.type, param.type) for v, param in zip(inits, params, strict=True)]
        self.fixed = [[True] * len(parts(param.type)) if k in unchanged else
                      _same_sizes(param.type, inits[k].type, results[k].type, node.results[k].type)
                      for k, param in enumerate(params)]
        self.types = [t for param, fixed in zip(params, self.fixed, strict=True)
                      for t, same in zip(parts(param.type), fixed, strict=True) if not same]
        self.start = self.flat(self.init)

    def flat(self, values: Sequence[V]) -> Registers:
        """The registers that change."""
        return [r for v, param, fixed in zip(values, self.params, self.fixed, strict=True)
                for r, same in zip(pack(v, param.type), fixed, strict=True) if not same]

    def whole(self, registers: Sequence[str]) -> list[V]:
        """The values again."""
        rest = iter(registers)
        packed = (zip(pack(init, param.type), fixed, strict=True)
                  for init, param, fixed in zip(self.init, self.params, self.fixed, strict=True))
        return [unpack(param.type, iter([old if same else next(rest) for old, same in parts]))
                for param, parts in zip(self.params, packed, strict=True)]

    def bind(self, params: Sequence[Value], registers: Sequence[str]) -> None:
        self.w.env.update(zip(params, self.whole(registers), strict=True))

    def next(self) -> Registers:
        """What the body hands on."""
        return self.flat([coerce(self.w, self.w.get(v), v.type, param.type)
                          for v, param in zip(self.results, self.params, strict=True)])


@rule(p.control.for_)
def _for(w: Writer, node: Node) -> Sequence[V]:
    start, stop = (w.scalar(v) for v in node.operands[:2])
    body, step = node.blocks[0], int(w.scalar(node.operands[2]))
    carried = _Carried(w, node, node.operands[3:], body.params[1:], body.results)
    low, high = (start, stop) if step == 1 else ("0", _trips(w, start, stop, step))
    heavy, polls = _heavy(body), w.module.options.poll
    long = not heavy and _long(body)
    constant = high.lstrip("-").isdigit() and low.lstrip("-").isdigit()

    def run(k: str, registers: Registers) -> Registers:
        w.env[body.params[0]] = k if step == 1 else w.op(f"add i64 {start}, {w.op(f'mul i64 {k}, {step}')}")
        carried.bind(body.params[1:], registers)
        block(w, body)
        return carried.next()

    def tail() -> None:
        charge(w, str(ITERATION))
        poll(w, node.span)

    w.depth += 1
    if polls and not heavy and w.depth == 1 and not (constant and int(high) - int(low) <= STRIP):
        out = stripped(w, low, high, carried.types, carried.start, run, node.span, long)
    else:
        out = counted(w, low, high, carried.types, carried.start, run, tail if polls and heavy else None, long)
        if polls and not heavy and not constant and w.depth > 1:
            charge(w, w.op(f"sub i64 {high}, {low}"))
    w.depth -= 1
    return carried.whole(out)


def _trips(w: Writer, start: str, stop: str, step: int) -> str:
    """How often a loop runs whose step is not 1."""
    if start.lstrip("-").isdigit() and stop.lstrip("-").isdigit():
        return str(len(range(int(start), int(stop), step)))
    near, far = (start, stop) if step > 0 else (stop, start)
    distance = w.op(f"sub i64 {far}, {near}")
    if abs(step) > 1:
        last = w.op(f"sub i64 {distance}, 1")
        distance = w.op(f"add i64 {w.op(f'udiv i64 {last}, {abs(step)}')}, 1")
    return w.op(f"select i1 {w.op(f'icmp sgt i64 {far}, {near}')}, i64 {distance}, i64 0")


@rule(p.control.while_)
def _while(w: Writer, node: Node) -> Sequence[V]:
    condition, body = node.blocks
    carried = _Carried(w, node, node.operands, body.params, body.results)
    header, inside, after = (w.new_label(hint) for hint in ("while", "body", "end"))
    before = w.label
    w.jump(header)
    w.start(header)
    polls = w.module.options.poll
    phis = [w.phi_later(t) for t in carried.types]
    left, fill_left = w.phi_later("i64") if polls else ("", None)
    registers = [name for name, _ in phis]
    carried.bind(condition.params, registers)
    w.depth += 1
    block(w, condition)
    w.branch(w.scalar(condition.results[0]), inside, after)
    w.start(inside)
    carried.bind(body.params, registers)
    block(w, body)
    out = carried.next()
    w.depth -= 1
    if fill_left is not None:
        fewer = w.op(f"sub i64 {left}, 1")
        used_up, again = w.new_label("poll"), w.new_label("again")
        period = str(ITERATION if _heavy(body) else STRIP // 16)
        w.branch(w.op(f"icmp ne i64 {fewer}, 0"), again, used_up, COLD)
        source = w.label
        w.start(used_up)
        charge(w, period if not _heavy(body) else str(ITERATION * ITERATION))
        poll(w, node.span)
        w.jump(again)
        polled = w.label
        w.start(again)
        fill_left([(period, before), (w.phi("i64", [(fewer, source), (period, polled)]), again)])
    for (_, fill), first, last in zip(phis, carried.start, out, strict=True):
        fill([(first, before), (last, w.label)])
    w.jump(header)
    w.start(after)
    return carried.whole(registers)


# ------------------------------------------------------------------------------------------------ calls


@rule(p.control.call)
def _call(w: Writer, node: Node) -> Sequence[V]:
    callee = w.module.program.functions[node.attrs["callee"]]
    params, results = callee.body.params, callee.body.results
    arguments = ["ptr %ctx"]
    for v, param in zip(node.operands, params, strict=True):
        value = coerce(w, w.get(v), v.type, param.type)
        arguments += [f"{t} {r}" for t, r in zip(parts(param.type), pack(value, param.type), strict=True)]
    name = quoted(callee.name)
    if callee.name in w.module.recursive:
        if w.recursive:
            arguments.append(f"i64 {w.op('add nuw nsw i64 %depth, 1')}")
        else:
            name = quoted(callee.name, "enter")
    whole = returned(callee)
    out = w.op(f"call {whole} @{name}({', '.join(arguments)})")
    registers = [w.op(f"extractvalue {whole} {out}, {k}") for k in range(sum(len(parts(r.type)) for r in results) + 1)] \
        if results else [out]
    if callee.name not in w.module.sure:
        w.unless(registers[-1])
    rest = iter(registers)
    return [coerce(w, unpack(r.type, rest), r.type, v.type) for r, v in zip(results, node.results, strict=True)]


@rule(p.control.check)
def _check(w: Writer, node: Node) -> None:
    ok, *values = node.operands
    types = tuple(v.type for v in values)
    w.check(w.scalar(ok), Site(node.span, node.attrs["error"], node.attrs["message"], types),
            [(t, w.get(v)) for t, v in zip(types, values, strict=True)])


def _slots(w: Writer, values: Sequence[Value]) -> str:
    """Operands in slots on the stack."""
    at = offsets(tuple(v.type for v in values))
    area = w.alloca(f"[{max(at[-1], 1)} x i64]", 16)
    for v, slot in zip(values, at, strict=False):
        w.store_slots(area, 8 * slot, v.type, w.get(v))
    return area


def _outside(w: Writer, callback: str, site: Site, arguments: str) -> None:
    """Call back into Python, and unwind where it raised."""
    w.module.callbacks.add(callback)
    number = w.module.site(site)
    name = callback.replace("lms_", "lms_outside_") if w.module.recursive else callback
    answer = w.op(f"call i32 @{name}(ptr %ctx, i64 {number}, {arguments})")
    go, bad = w.new_label("ok"), w.new_label("bad")
    w.branch(w.op(f"icmp eq i32 {answer}, 0"), go, bad, COLD)
    w.start(bad)
    w.fail(Status.PYTHON, str(number))
    w.start(go)


@rule(p.control.print_)
def _print(w: Writer, node: Node) -> None:
    types = tuple(v.type for v in node.operands)
    site = Site(node.span, message=node.attrs["template"], operands=types, end=node.attrs.get("end", "\n"))
    _outside(w, "lms_print", site, f"ptr {_slots(w, node.operands)}")


@rule(p.control.py_call)
def _py_call(w: Writer, node: Node) -> Sequence[V]:
    types, results = tuple(v.type for v in node.operands), tuple(node.attrs["types"])
    at = offsets(results)
    area = w.alloca(f"[{max(at[-1], 1)} x i64]", 16)
    site = Site(node.span, operands=types, function=node.attrs["function"], results=results)
    _outside(w, "lms_py_call", site, f"ptr {_slots(w, node.operands)}, ptr {area}")
    return [w.load_slots(area, 8 * slot, r.type) for r, slot in zip(node.results, at, strict=False)]

