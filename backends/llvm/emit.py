"""From a lowered program to LLVM text.

`emit_module` writes every function, `lms_main` that enters them, and the parts of the runtime they need. The rules for
operations register themselves in `writer.RULES`: see `scalar`, `arrays`, `records`, `control`, `contraction`,
`lapack` and `sorting`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from lms.core import primitives as p
from lms.core.data import replace
from lms.core.errors import VerifyError
from lms.core.ir import Function, Program, sum_types, walk
from lms.core.types import ArrayType, SumType

from ..cycles import cycles
from ..ownership import borrowing
from . import arrays, complexes, contraction, control, lapack, memory, records, recursion, scalar, sorting, vecmath
from .abi import CALLBACKS, Module, offsets
from .aliases import Aliases, Scopes
from .counting import counted
from .debug import DebugInfo
from .values import Array, V, pack, parts, unpack
from .writer import RULES, ModuleWriter, Options, Writer, quoted, returned

__all__ = ["Options", "emit", "emit_module"]
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
    functions = [_function(module, f, Scopes(aliases, f, module.meta)) for f in _callees_first(program)]
    functions += [recursion.enter(program.functions[name]) for name in module.recursive]
    main = _main(module, Scopes(aliases, program.main, module.meta))
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
                  module.imports, loops)
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


def _straight(w: Writer) -> bool:
    """Whether a function is long, is run once and has no loops: it is compiled as it is, for the work is in what it calls."""
    return w.function.name == w.module.program.entry and not w.loops and len(w.lines) > LONG


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
    w = Writer(module, function, scopes)
    w.plan()
    registers = iter([f"%x{k}" for k in range(sum(len(parts(v.type)) for v in function.body.params))])
    params = ["ptr noalias %ctx"]
    sizes: dict[object, str] = {}
    for v in function.body.params:
        names = [next(registers) for _ in parts(v.type)]
        params += [f"{t} {name}" for t, name in zip(parts(v.type), names, strict=True)]
        value = unpack(v.type, iter(names))
        if isinstance(v.type, ArrayType) and isinstance(value, Array):  # one size, one register
            dims = tuple(sizes.setdefault(d, size) for d, size in zip(v.type.dims, value.dims, strict=True))
            value = replace(value, dims=dims)
        w.env[v] = value
    if w.recursive:
        params.append("i64 %depth")
        w.at(function.span)
        recursion.guard(w)
        if module.options.poll:
            control.charge(w, str(control.ITERATION))
            control.poll(w, function.span)
    for node in walk(function.body):
        if node.op not in RULES:
            raise VerifyError(f"{node.op.name} reached the LLVM back end: it should have been lowered", node.span)
    arrays.open_arena(w)
    control.block(w, function.body)
    arrays.close_arena(w)
    _return(w, function)
    w.exits()
    if w.sure:
        module.sure.add(function.name)
    attributes = "nounwind" + (" noinline optnone" if _straight(w) else " noinline" if function.name in module.shared else "")
    attributes += ' "frame-pointer"="all"' if module.options.debug else ""
    debug = f" !dbg {module.debug.subprogram(function)}" if module.debug is not None else ""
    head = f"define internal {returned(function)} @{quoted(function.name)}({', '.join(params)}) {attributes}{debug} {{\nentry:\n"
    return "\n".join([head.rstrip("\n"), *w.allocas, *w.lines, "}\n"])


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


def _main(module: ModuleWriter, scopes: Scopes) -> str:
    """`lms_inner`: arguments out of slots, the entry function, results into slots; and `lms_main`, the same for the world."""
    function = module.program.main
    debug, module.debug = module.debug, None
    w = Writer(module, function, scopes)
    params, results = function.type.params, function.type.results
    name = quoted(function.name, "enter" if function.name in module.recursive else "f")
    arguments = ["ptr %ctx"]
    for t, slot in zip(params, offsets(params), strict=False):
        arguments += [f"{kind} {r}" for kind, r in zip(parts(t), pack(w.load_slots("%args", 8 * slot, t), t), strict=True)]
    whole = returned(function)
    out = w.op(f"call {whole} @{name}({', '.join(arguments)})")
    registers = [w.op(f"extractvalue {whole} {out}, {k}") for k in range(whole.count(",") + 1)] if results else [out]
    go, bad = w.new_label("ok"), w.new_label("bad")
    w.branch(w.op(f"icmp eq i32 {registers[-1]}, 0"), go, bad, "!prof !0")
    w.start(bad)
    w.do(f"ret i32 {registers[-1]}")
    w.start(go)
    rest = iter(registers)
    for t, slot in zip(results, offsets(results), strict=False):
        v: V = unpack(t, rest)
        w.store_slots("%results", 8 * slot, t, v)
        if isinstance(v, Array):
            w.do(f"call void @lms_detach(ptr %ctx, ptr {v.owner})")
    w.do("ret i32 0")
    module.debug = debug
    signature = "(ptr noalias %ctx, ptr %args, ptr %results)"
    return "\n".join([f"define internal i32 @lms_inner{signature} alwaysinline nounwind {{", "entry:", *w.lines, "}",
                      f"define i32 @lms_main{signature} nounwind {{",
                      "  %status = call i32 @lms_inner(ptr %ctx, ptr %args, ptr %results)\n  ret i32 %status\n}"])


_ = (complexes, contraction, lapack, scalar, sorting)  # imported for the rules they register
