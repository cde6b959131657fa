"""How the world calls a generated function: its public head, its documentation, and what stands between it and the body.

    int f(lms_context *lms, int64_t n, const double *x, double *result);

Sizes come first, each symbol once; then the arguments; then where results go. A function that cannot fail takes no context,
and returns its only number. Arrays of sizes that follow from the arguments' go to memory of the caller's; others, and records,
are left in the context until `lms_finish`.
"""

from __future__ import annotations

from enum import Enum

from lms.core.data import dataclass
from lms.core.ir import Value
from lms.core.types import ArrayType, Dim, Scalar, Size, SumType, Type, symbol

from .function import Line
from .names import comment, size_name, spelled, unique
from .signature import Module, Signature, known_outside


class Way(Enum):
    """How a result reaches the caller."""

    RETURNED = "returned"
    POINTER = "written to where a pointer says"
    BUFFER = "written to the caller's array"
    HANDLE = "an array that the context holds"
    RECORD = "a record that the context holds"
    ARGUMENT = "the argument that was written to"


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    type: Type
    way: Way


@dataclass(frozen=True, slots=True)
class Interface:
    """The public face of an entry function: C names of sizes (by symbol), parameters, results."""

    name: str
    context: bool
    sizes: dict[str, str]
    params: tuple[tuple[str, Type, bool], ...]  # name, type, whether it is written to
    results: tuple[Result, ...]
    doc: str

    @property
    def keeps(self) -> bool:
        """Whether results stay in the context."""
        return any(r.way in (Way.HANDLE, Way.RECORD) for r in self.results)

    def size(self, d: Size) -> str:
        """A dimension in terms of the sizes."""
        if isinstance(d, int):
            return str(d)
        text = ""
        for s, k in d.terms:
            sign = (" - " if k < 0 else " + ") if text else ("-" if k < 0 else "")
            text += f"{sign}{'' if abs(k) == 1 else f'{abs(k)} * '}{self.sizes[s]}"
        return text + (f" {'-' if d.const < 0 else '+'} {abs(d.const)}" if d.const else "")


def interface(signature: Signature, name: str) -> Interface:
    """The public face of an entry."""
    function = signature.function
    params = function.body.params
    symbols = dict.fromkeys(s for v in params if isinstance(v.type, ArrayType) for d in v.type.dims if isinstance(d, Dim)
                            for s in d.symbols)
    taken: set[str] = {"lms", name}

    def fresh(hint: str, otherwise: str) -> str:
        found = unique(hint, otherwise, taken)
        taken.add(found)
        return found

    names = [fresh(v.name, "x") for v in params]
    sizes = {s: fresh(size_name(symbol(s)), "n") for s in symbols}
    many = len(function.body.results) > 1
    results = tuple(Result(fresh(f"result{k if many else ''}", "result"), v.type, _way(signature, v))
                    for k, v in enumerate(function.body.results))
    faces = tuple((n, v.type, k in function.mut) for k, (n, v) in enumerate(zip(names, params, strict=True)))
    copies = any(r.way in (Way.HANDLE, Way.RECORD) or r.way is Way.BUFFER and v not in signature.into
                 for r, v in zip(results, function.body.results, strict=True))
    return Interface(name, signature.context or copies, sizes, faces, results, function.doc)


def _way(signature: Signature, v: Value) -> Way:
    if isinstance(v.type, SumType):
        return Way.RECORD
    if not isinstance(v.type, ArrayType):
        return Way.RETURNED if signature.direct else Way.POINTER
    params = signature.function.body.params
    if v in params and params.index(v) in signature.function.mut:
        return Way.ARGUMENT
    return Way.BUFFER if known_outside(v.type, params) else Way.HANDLE


def handle(t: ArrayType) -> str:
    """The type of an array that the context holds."""
    dtype = t.dtype.name if isinstance(t.dtype, Scalar) else spelled(t.dtype.name, "record")
    return f"lms_array_{dtype}_{t.rank}"


def pointer(element: str) -> str:
    """The beginning of a declaration of a pointer."""
    return f"{element}{'' if element.endswith('*') else ' '}*"


def handles(module: Module, faces: list[Interface]) -> list[str]:
    """Their declarations."""
    found = {handle(r.type): r.type for face in faces for r in face.results
             if r.way is Way.HANDLE and isinstance(r.type, ArrayType)}
    out = []
    for name, t in found.items():
        element = module.c_type(t.dtype)
        guard = name.upper()
        out += [f"#ifndef {guard}", f"#define {guard}",
                f"typedef struct {{ {pointer(element)}data; int64_t shape[{max(t.rank, 1)}]; }} {name};",
                "#endif"]
    return out


def head(module: Module, face: Interface) -> str:
    """The declaration, without its semicolon."""
    texts = ["lms_context *lms"] if face.context else []
    texts += [f"int64_t {n}" for n in face.sizes.values()]
    for name, t, written in face.params:
        texts.append(declared(module, t, name, const=not written))
        if isinstance(t, ArrayType) and t.layout == "S":
            texts.append(f"const int64_t *{name}_strides")
    for r in face.results:
        if r.way is Way.POINTER:
            texts.append(f"{module.c_type(r.type)} *{r.name}")
        elif r.way is Way.RECORD:
            texts.append(f"{module.c_type(r.type)}*{r.name}")
        elif r.way is Way.BUFFER and isinstance(r.type, ArrayType):
            texts.append(f"{module.c_type(r.type.dtype)} *{r.name}")
        elif r.way is Way.HANDLE and isinstance(r.type, ArrayType):
            texts.append(f"{handle(r.type)} *{r.name}")
    returned = next((module.c_type(r.type) for r in face.results if r.way is Way.RETURNED), "int" if face.context else "void")
    return f"{returned} {face.name}({', '.join(texts) or 'void'})".replace("* ", "*", 1)


def declared(module: Module, t: Type, name: str, const: bool) -> str:
    """A parameter."""
    if isinstance(t, ArrayType):
        element = module.c_type(t.dtype)
        prefix = "const " if const and isinstance(t.dtype, Scalar) else ""
        return f"{prefix}{element}{'' if element.endswith('*') else ' '}*{name}"
    base = module.c_type(t)
    return f"{base}{'' if base.endswith('*') else ' '}{name}"


def documentation(face: Interface) -> list[str]:
    """A comment: the docstring, then what each parameter is."""
    lines = [line.rstrip() for line in comment(face.doc).strip().splitlines()]
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    lines = lines[:1] + [line[margin:] for line in lines[1:]]
    table = [(name, f"{t}{', written to' if written else ''}") for name, t, written in face.params]
    table += [(r.name, _said(r)) for r in face.results if r.way not in (Way.RETURNED, Way.ARGUMENT)]
    width = max((len(name) for name, _ in table), default=0)
    rows = [f"{name:{width}}  {said}" for name, said in table]
    if face.context:
        rows.append("Gives LMS_OK, or what went wrong: then `lms` says more. "
                    + ("What it gives stays until lms_finish(lms)." if face.keeps else "`lms` may be NULL."))
    body = [*lines, *([""] if lines and rows else []), *rows]
    return ["/* " + body[0], *(f" * {line}".rstrip() for line in body[1:]), " */"] if body else []


def _said(r: Result) -> str:
    return f"{r.type}, {r.way.value}" if r.way in (Way.HANDLE, Way.RECORD) else str(r.type)


# ------------------------------------------------------------------------------------------------ the wrapper


class _Wrapper:
    """Writes the public function of an entry that has a body of its own."""

    def __init__(self, module: Module, signature: Signature, face: Interface) -> None:
        self.module, self.signature, self.face = module, signature, face
        self.lines: list[str] = []
        self.taken = {"lms", face.name, *face.sizes.values(), *(n for n, _, _ in face.params), *(r.name for r in face.results)}

    def name(self, hint: str) -> str:
        found = unique(hint, "t", self.taken)
        self.taken.add(found)
        return found

    def source(self) -> list[Line]:
        face, where = self.face, self.signature
        write = self.lines.append
        if face.context:
            if face.keeps:
                write("    if (lms == NULL) return LMS_VALUE_ERROR;")
            else:
                own = self.name("own")
                write(f"    lms_context {own} = {{0}};")
                write(f"    if (lms == NULL) lms = &{own};")
            write("    lms->status = LMS_OK;")
        if where.unit.recursive:
            here = self.name("here")
            write(f"    char {here} = 0;")
            write("#if defined(__GNUC__)")
            write("    lms->stack = (uintptr_t)__builtin_frame_address(0);")
            write("#else")
            write(f"    lms->stack = (uintptr_t)&{here};")
            write("#endif")
            write(f"    (void){here};")
        held = self.name("held") if where.allocates else ""
        if held:
            write(f"    lms_block *{held} = lms->blocks;")
        places = [self._receive(r, v) for r, v in zip(face.results, where.function.body.results, strict=True)]
        arguments = self._arguments(places)
        call = f"{where.name}({', '.join(arguments)})"
        if not where.fails:
            returned = any(r.way is Way.RETURNED for r in face.results)
            write(f"    {'return ' if returned else places[0][0] + ' = ' if where.direct else ''}{call};")
            write("    int status = LMS_OK;") if face.context else None
        elif not held and all(len(place) == 1 for place in places):
            write(f"    return {call};")
            return self._whole()
        else:
            write(f"    int status = {call};")
        give = [line for r, place in zip(face.results, places, strict=True) for line in self._give(r, place)]
        if give:
            write("    if (status == LMS_OK) {")
            self.lines += [f"        {line}" for line in give]
            write("    }")
        if held:
            write(f"    if (status != LMS_OK) lms_abandon(lms, {held});")
        if face.context:
            write("    return status;")
        return self._whole()

    def _whole(self) -> list[Line]:
        face = self.face
        return [Line(text) for text in (*documentation(face), f"{head(self.module, face)} {{", *self.lines, "}")]

    def _arguments(self, places: list[list[str]]) -> list[str]:
        where, face = self.signature, self.face
        out = ["lms"] if where.context else []
        out += [face.size(d) for d in where.sizes]
        for k, (name, t, written) in enumerate(face.params):
            if isinstance(t, ArrayType):
                element = self.module.c_type(t.dtype)
                plain = written or where.is_const(k) or not isinstance(t.dtype, Scalar)
                out.append(name if plain else f"({element} *){name}")
                if k in where.owners:
                    out.append("NULL")
                if t.layout == "S":
                    out += [f"{name}_strides[{j}]" for j in range(t.rank)]
            else:
                out.append(name)
        if not where.direct:
            out += [f"&{p}" if not p.startswith("*") else p[1:] for place in places for p in place]
        return [*out, *(["0"] if where.recursive else [])]

    def _receive(self, r: Result, v: Value) -> list[str]:
        """Where the body puts a result: names of variables, or `*` and a pointer of the caller's."""
        if not isinstance(r.type, ArrayType) or v in self.signature.into:
            return ["*" + r.name]
        data = self.name("data")
        owner = self.name("owner")
        element = self.module.c_type(r.type.dtype)
        self.lines.append(f"    {element}{'' if element.endswith('*') else ' '}*{data} = NULL;")
        self.lines.append(f"    void *{owner} = NULL;")
        out = [data, owner]
        for j, d in enumerate(r.type.dims):
            if not isinstance(d, int):
                out.append(self.name(f"size{j}"))
                self.lines.append(f"    int64_t {out[-1]} = 0;")
        for _ in range(r.type.rank if r.type.layout == "S" else 0):
            out.append(self.name("stride"))
            self.lines.append(f"    int64_t {out[-1]} = 0;")
        return out

    def _give(self, r: Result, place: list[str]) -> list[str]:
        """Hand a result over."""
        t = r.type
        if not isinstance(t, ArrayType) or len(place) == 1:
            return []
        data, owner, *rest = place
        dims = [str(d) if isinstance(d, int) else rest.pop(0) for d in t.dims]
        release = [f"lms_release(lms, {owner});"] if self.signature.allocates else []
        if r.way is Way.ARGUMENT:
            return release
        item = f"sizeof({self.module.c_type(t.dtype)})"
        if r.way is Way.BUFFER:
            return [*self._copy(r.name, data, dims, rest, item), *release]
        shape = [f"{r.name}->shape[{j}] = {d};" for j, d in enumerate(dims)]
        made = [f"{r.name}->data = lms_array(lms, \"\", 0, {item}, 0, {t.rank}, {r.name}->shape);",
                f"if ({r.name}->data == NULL) status = lms->status;"]
        if t.layout == "S":
            copied = self._copy(f"{r.name}->data", data, dims, rest, item)
            return [*shape, *made, "else {", *(f"    {line}" for line in copied), "}", *release]
        if not isinstance(t.dtype, Scalar):
            return [*shape, f"{r.name}->data = {data};"]
        return [*shape, f"{r.name}->data = {data};", f"if ({owner} == NULL) {{", *(f"    {line}" for line in made),
                f"    else memcpy({r.name}->data, {data}, (size_t)({' * '.join(dims) or '1'}) * {item});", "}"]

    def _copy(self, to: str, data: str, dims: list[str], strides: list[str], item: str) -> list[str]:
        """Copy elements into row-major memory."""
        count = " * ".join(d for d in dims if d != "1") or "1"
        if not strides:
            count = count if " " not in count else f"({count})"
            line = f"memcpy({to}, {data}, (size_t){count} * {item});"
            return [line if all(d.isdigit() and d != "0" for d in dims) else f"if ({count} > 0) {line}"]
        names = [self.name(f"i{j}") for j in range(len(dims))]
        target = names[0] if names else "0"
        for name, d in zip(names[1:], dims[1:], strict=True):
            target = f"({target}) * {d} + {name}"
        source = " + ".join(f"{name} * {s}" for name, s in zip(names, strides, strict=True)) or "0"
        loops = [f"{'    ' * k}for (int64_t {name} = 0; {name} < {d}; {name}++)"
                 for k, (name, d) in enumerate(zip(names, dims, strict=True))]
        return [*loops, f"{'    ' * len(names)}{to}[{target}] = {data}[{source}];"]


def wrapper(module: Module, signature: Signature, face: Interface) -> list[Line]:
    """The public function of an entry that has a body of its own."""
    finish = [Line(""), Line("/* Give back what calls with this context gave. */"), Line(f"{finisher(face)} {{"),
              Line("    lms_finish(lms);"), Line("}")] if face.keeps else []
    return [*_Wrapper(module, signature, face).source(), *finish]


def finisher(face: Interface) -> str:
    """`lms_finish` as a function that a shared library exports."""
    return f"void {face.name}_finish(lms_context *lms)"


def needs_wrapper(signature: Signature, face: Interface) -> bool:
    """Whether the body cannot be the public function itself."""
    plain = [symbol(s) for s in face.sizes] == signature.sizes
    return face.context or not plain or any(
        isinstance(t, ArrayType) and (t.layout == "S" or (not written and not signature.is_const(k)))
        for k, (_, t, written) in enumerate(face.params)) or any(r.way is Way.ARGUMENT for r in face.results)
