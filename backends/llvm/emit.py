"""From a lowered program to LLVM text.

`emit_module` writes every function, the first of them as `lms_inner`, and the parts of the runtime they need. The rules for
operations register themselves in `writer.RULES`: see `scalar`, `arrays`, `records`, `control`, `contraction`,
`lapack` and `sorting`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from lms.core import primitives as p
from lms.core.data import replace
from lms.core.errors import VerifyError
from lms.core.ir import Function, Node, Program, Value, sum_types, walk
from lms.core.types import ArrayType, SumType, Type, element

from ..cycles import cycles
from ..ownership import borrowing
from . import arrays, complexes, contraction, control, lapack, memory, records, recursion, scalar, sorting, vecmath
from .abi import CALLBACKS, Module, many_arrays, offsets
from .aliases import Aliases, Scopes
from .counting import counted
from .debug import DebugInfo
from .values import Array, V, pack, parts, unpack
from .writer import RULES, ModuleWriter, Options, Writer, quoted, returned

LONG = 400  # lines of an entry without loops from which on it is not improved
MANY = 48  # places that use blocks of memory, from which on they call functions that are there already
_LONG = ("for", "while", "contract_into", "argsort_into", "print", "py_call", *(op.name for op in p.linalg.LAPACK))


def emit(program: Program, **options: Any) -> str:
    """The LLVM text of a lowered program, complete with the declarations of what Python provides."""
    module = emit_module(program, replace(Options(), **options))
    return module.text + "".join(declaration(name) for name in sorted(module.callbacks))


def declaration(callback: str) -> str:
    """The declaration of one of `CALLBACKS`."""
    signature = CALLBACKS[callback]
    if "(" not in signature:
        return f"@{callback} = external global {signature}\n"
    result, params = signature.split(" ", 1)
    return f"declare {result} @{callback}{params}\n"


_DEFAULT = Options()


def emit_module(program: Program, options: Options = _DEFAULT) -> Module:
    """LLVM text and tables of a lowered program. Raises `VerifyError` for an operation that should have been lowered."""
    types = sum_types(program)
    module = ModuleWriter(program, options, cycles(program), records.kinds(types))
    module.debug = DebugInfo(module.meta) if options.debug else None
    module.shared, module.borrowing = _shared(program), borrowing(program)
    aliases = Aliases(program)
    functions = [_function(module, f, Scopes(aliases, f, module.meta)) for f in _callees_first(program)
                 if f is not program.main or f.name in module.recursive]
    functions += [recursion.enter(program.functions[name]) for name in module.recursive]
    main = (_outside if program.entry in module.recursive else _main)(module, Scopes(aliases, program.main, module.meta))
    text = "\n".join([*functions, main, *module.helpers.values()])
    uses = sum(text.count(f"@lms_{part}(") for part in ("new", "release", "detach"))
    if uses >= MANY and not options.count:
        text = "\n".join([*functions, main, *(f for name, f in module.helpers.items() if name not in memory.SHARED)])
        text += memory.declarations()
    elif uses or types:
        text += memory.BLOCKS
    text += _runtime(module, uses > 0, types)
    if module.functions:
        for line in vecmath.define(module.functions).splitlines():
            if line.startswith("declare "):
                module.declares.add(line)
            else:
                text += line + "\n"
    text += "\n".join(sorted(module.declares)) + "\n" + "\n".join(module.metadata) + "\n"
    text += module.debug.named if module.debug is not None else ""
    if any(name.startswith("lms.digamma") for name in module.functions):
        module.imports["lms_psi"] = ("scipy.special.cython_special", "__pyx_fuse_1psi")
    kind = program.main.type
    loops = bool(module.recursive) or any(n.op.name in _LONG for f in program.functions.values() for n in walk(f.body))
    callbacks = module.callbacks | ({"lms_poll", "lms_print", "lms_py_call", "lms_stack"} if module.recursive else set())
    made = Module(text, kind.params, kind.results, program.main.mut, tuple(module.sites), frozenset(callbacks),
                  module.imports, loops, module.apart and not types and not options.debug)
    return counted(made, module.arrays) if options.count else made


def _shared(program: Program) -> set[str]:
    """The functions with a loop that are called from many places: inlined, they would be compiled as often."""
    calls = Counter(n.attrs["callee"] for f in program.functions.values() for n in walk(f.body) if n.op is p.control.call)
    return {name for name, f in program.functions.items() if calls[name] > 2 and _loops(f)}


def _loops(function: Function) -> bool:
    return any(n.op is p.control.for_ for n in walk(function.body))


def _callees_first(program: Program) -> list[Function]:
    """Functions that call no others stand before the rest: what calls them then knows whether they can fail."""
    return sorted(program.functions.values(), key=lambda f: any(n.op is p.control.call for n in walk(f.body)))


def _runtime(module: ModuleWriter, blocks: bool, types: dict[str, SumType]) -> str:
    """The parts of the runtime a module needs, which uses blocks of memory or does not."""
    text = memory.FREE + memory.finish(blocks, bool(types), bool(module.recursive))
    if types:
        text += memory.NODES + records.tear_down(types, module.kinds)
    if module.recursive:
        text += recursion.runtime()
        module.declares.update(recursion.DECLARES)
    module.declares.update(memory.DECLARES)
    return text


def _function(module: ModuleWriter, function: Function, scopes: Scopes) -> str:
    w = Writer(module, function, scopes, returned(function))
    w.plan()
    registers = iter([f"%x{k}" for k in range(sum(len(parts(v.type)) for v in function.body.params))])
    params = ["ptr noalias %ctx"]
    sizes: dict[object, str] = {}
    for v in function.body.params:
        names = [next(registers) for _ in parts(v.type)]
        params += [f"{t} {name}" for t, name in zip(parts(v.type), names, strict=True)]
        w.env[v] = _named(v, unpack(v.type, iter(names)), sizes)
    if w.recursive:
        params.append("i64 %depth")
        w.at(function.span)
        recursion.guard(w)
        if module.options.poll:
            control.charge(w, str(control.ITERATION))
            control.poll(w, function.span)
    _body(w)
    _return(w, function)
    w.exits()
    if w.sure:
        module.sure.add(function.name)
    head = f"define internal {w.returned} @{quoted(function.name)}({', '.join(params)}) nounwind"
    return _text(w, head + (" noinline" if function.name in module.shared else ""))


def _body(w: Writer) -> None:
    """What a function does between taking its parameters and giving its results."""
    for node in walk(w.function.body):
        if node.op not in RULES:
            raise VerifyError(f"{node.op.name} reached the LLVM back end: it should have been lowered", node.span)
    arrays.open_arena(w)
    control.block(w, w.function.body)
    arrays.close_arena(w)


def _text(w: Writer, head: str) -> str:
    """A function, complete."""
    debug = w.module.debug
    told = f' "frame-pointer"="all" !dbg {debug.subprogram(w.function)}' if debug is not None else ""
    return "\n".join([f"{head}{told} {{", "entry:", *w.allocas, *w.lines, "}\n"])


def _return(w: Writer, function: Function) -> None:
    out = "poison"
    whole = returned(function)
    if whole == "i32":
        w.do("ret i32 0")
        return
    k = 0
    for v in function.body.results:
        for t, register in zip(parts(v.type), pack(w.get(v), v.type), strict=True):
            out = w.op(f"insertvalue {whole} {out}, {t} {register}, {k}")
            k += 1
    w.do(f"ret {whole} {w.op(f'insertvalue {whole} {out}, i32 0, {k}')}")


_INNER = "define internal i32 @lms_inner(ptr noalias %ctx, ptr %args, ptr %results) nounwind"


def _main(module: ModuleWriter, scopes: Scopes) -> str:
    """`lms_inner`, the entry function: arguments out of slots, results into slots."""
    function = module.program.main
    w = Writer(module, function, scopes, "i32")
    w.plan()
    sizes: dict[object, str] = {}
    for v, slot in zip(function.body.params, offsets(function.type.params), strict=False):
        w.env[v] = _named(v, w.load_slots("%args", 8 * slot, v.type), sizes)
    _body(w)
    for v, slot in zip(function.body.results, offsets(function.type.results), strict=False):
        _give(w, v.type, slot, w.get(v))
    w.do("ret i32 0")
    w.exits()
    straight = not w.loops and len(w.lines) > LONG
    module.apart = straight and 8 * sum(_is_arithmetic(node) for node in walk(function.body)) < len(function.body.nodes)
    return _text(w, _INNER + _whether_inlined(w, straight))


def _is_arithmetic(node: Node) -> bool:
    """Whether a node computes a float."""
    return node.op.elementwise and element(node.results[0].type).is_float


def _whether_inlined(w: Writer, straight: bool) -> str:
    """Into the entry that Python calls, unless that is itself compiled as it is. So is a long function without loops, for it is
    run once, and the work is in what it calls."""
    if straight:
        return " noinline optnone"
    return " noinline" if many_arrays(w.function.type.params) else " alwaysinline"


def _named(v: Value, value: V, sizes: dict[object, str]) -> V:
    """A parameter, in which one size is one register."""
    if isinstance(v.type, ArrayType) and isinstance(value, Array):
        return replace(value, dims=tuple(sizes.setdefault(d, size) for d, size in zip(v.type.dims, value.dims, strict=True)))
    return value


def _give(w: Writer, t: Type, slot: int, v: V) -> None:
    """Put a result into its slots; an array leaves the call."""
    w.store_slots("%results", 8 * slot, t, v)
    if isinstance(v, Array):
        w.do(f"call void @lms_detach(ptr %ctx, ptr {v.owner})")


def _outside(module: ModuleWriter, scopes: Scopes) -> str:
    """`lms_inner` for an entry function that calls itself: it enters that one."""
    function, debug = module.program.main, module.debug
    module.debug = None
    w = Writer(module, function, scopes, "i32")
    arguments = ["ptr %ctx"]
    for t, slot in zip(function.type.params, offsets(function.type.params), strict=False):
        arguments += [f"{kind} {r}" for kind, r in zip(parts(t), pack(w.load_slots("%args", 8 * slot, t), t), strict=True)]
    whole = returned(function)
    out = w.op(f"call {whole} @{quoted(function.name, 'enter')}({', '.join(arguments)})")
    results = function.type.results
    *registers, status = [w.op(f"extractvalue {whole} {out}, {k}") for k in range(whole.count(",") + 1)] if results else [out]
    w.unless(status)
    rest = iter(registers)
    for t, slot in zip(results, offsets(results), strict=False):
        _give(w, t, slot, unpack(t, rest))
    w.do("ret i32 0")
    w.exits()
    text = _text(w, _INNER + " alwaysinline")
    module.debug = debug
    return text


_ = (complexes, contraction, lapack, scalar, sorting)  # imported for the rules they register
