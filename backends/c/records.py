"""Sums of records in C: nodes that are made, looked into and counted."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import ArrayType, Constructor, SumType

from ..ownership import managed
from .expressions import SIZES, Expr, join, number, variable
from .function import Array, FunctionWriter, rule
from .names import KEYWORDS, spelled
from .signature import Module


def fields(t: SumType, tag: int) -> list[str]:
    """The names of the fields of an alternative."""
    taken = set[str]()
    out = []
    for name, _ in t.constructors[tag].fields:
        base = spelled(name, "field")
        k, found = 0, base
        while found in taken or found in KEYWORDS:
            k += 1
            found = f"{base}_{k}"
        taken.add(found)
        out.append(found)
    return out


@rule(p.record.construct)
def _construct(w: FunctionWriter, node: Node) -> None:
    module, t, tag = w.module, node.attrs["type"], node.attrs["tag"]
    v, type_ = node.result, module.records[node.attrs["type"].name]
    parts = [w.get(x) for x in node.operands]
    name = w.name(v.name, "node")
    w.write(f"{type_} *{name} = lms_node_new(lms, {w.place(node.span)}, sizeof({type_}), {module.kinds[t.name, tag]}, {tag});")
    w.write(f"if ({name} == NULL) return lms->status;")
    case = module.constructors[t.name, tag]
    for k, (x, (_, f), field) in enumerate(zip(parts, t.constructors[tag].fields, fields(t, tag), strict=True)):
        place = f"{name}->as.{case}.{field}"
        if managed(f) and k not in w.ownership.moved.get(node, ()):
            owner = x.owner if isinstance(x, Array) else x.text
            if owner != "NULL":
                w.write(f"lms_retain{'' if isinstance(x, Array) else '_node'}({owner});")
        if isinstance(x, Expr):
            w.write(f"{place} = {x.text};")
            continue
        assert isinstance(f, ArrayType)
        found = w.coerce(x, f)
        assert isinstance(found, Array)
        w.write(f"{place}.data = {w.pointer(found, f, False)};")
        w.write(f"{place}.owner = {found.owner};")
        for j, d in enumerate(found.dims):
            w.write(f"{place}.shape[{j}] = {d.text};")
        for j, s in enumerate(found.strides or ()):
            w.write(f"{place}.strides[{j}] = {s.text};")
    w.env[v] = variable(name)


@rule(p.record.tag)
def _tag(w: FunctionWriter, node: Node) -> None:
    x = w.one(node.operands[0])
    w.offer(node, join(f"{x.at(100)}->node.tag", [x], range=(0, 2**31 - 1)))


@rule(p.record.project)
def _project(w: FunctionWriter, node: Node) -> None:
    x, t, v = w.one(node.operands[0]), node.operands[0].type, node.result
    assert isinstance(t, SumType)
    tag, k = node.attrs["tag"], node.attrs["field"]
    place = f"{x.at(100)}->as.{w.module.constructors[t.name, tag]}.{fields(t, tag)[k]}"
    if not isinstance(v.type, ArrayType):
        w.offer(node, join(place, [x]))
        return
    data = w.name(v.name, "a")
    const = w.is_const(v)
    w.write(f"{w.typed(v.type, data, const)} = {place}.data;", sets=data)
    owner = w.name(f"{data}_owner")
    w.write(f"void *{owner} = {place}.owner;", sets=owner)
    dims = []
    for j, d in enumerate(v.type.dims):
        hint = f"{data}_size{j if v.type.rank > 1 else ''}"
        dims.append(number(d) if isinstance(d, int) else _number(w, hint, f"{place}.shape[{j}]"))
    strides = tuple(_number(w, f"{data}_stride{j}", f"{place}.strides[{j}]") for j in range(v.type.rank)) if (
        v.type.layout == "S") else None
    w.env[v] = Array(data, tuple(dims), strides, owner, const)


def _number(w: FunctionWriter, hint: str, text: str) -> Expr:
    name = w.name(hint)
    w.write(f"int64_t {name} = {text};", sets=name)
    return variable(name, SIZES if "_size" in hint else (-(2**62), 2**62))


# ------------------------------------------------------------------------------------------ declarations


def declarations(module: Module) -> list[str]:
    """The types of a module's records."""
    out = [f"typedef struct {name} {name};" for name in module.records.values()]
    for name, t in module.sums.items():
        c_name = module.records[name]
        cases = [module.constructors[name, tag] for tag in range(len(t.constructors))]
        out += ["", f"/* {t.name}: {' | '.join(map(_shown, t.constructors))} */",
                f"enum {{ {', '.join(f'{c_name}_{case} = {tag}' for tag, case in enumerate(cases))} }};", f"struct {c_name} {{",
                "    lms_node node; /* node.tag says which; leave the rest zero in nodes of your own */"]
        inside = [line for tag, case in enumerate(cases) if t.constructors[tag].fields for line in _struct(module, t, tag, case)]
        if inside:
            out += ["    union {", *inside, "    } as;"]
        out.append("};")
    return out


def _shown(c: Constructor) -> str:
    return f"{c.name}({', '.join(f'{name}: {t}' for name, t in c.fields)})"


def _struct(module: Module, t: SumType, tag: int, case: str) -> list[str]:
    lines = ["        struct {"]
    for field, (_, f) in zip(fields(t, tag), t.constructors[tag].fields, strict=True):
        if isinstance(f, ArrayType):
            element = module.c_type(f.dtype)
            strides = f" int64_t strides[{max(f.rank, 1)}];" if f.layout == "S" else ""
            lines.append(f"            struct {{ {element}{'' if element.endswith('*') else ' '}*data; void *owner; "
                         f"int64_t shape[{max(f.rank, 1)}];{strides} }} {field};")
        else:
            base = module.c_type(f)
            lines.append(f"            {base}{'' if base.endswith('*') else ' '}{field};")
    return [*lines, f"        }} {case};"]


def children(module: Module) -> str:
    """`lms_children`: lets go of what a block of memory refers to."""
    cases = []
    for (name, tag), kind in module.kinds.items():
        t = module.sums[name]
        drops = []
        for field, (_, f) in zip(fields(t, tag), t.constructors[tag].fields, strict=True):
            place = f"node->as.{module.constructors[name, tag]}.{field}"
            if isinstance(f, ArrayType):
                drops.append(f"        lms_release(lms, {place}.owner);")
            elif isinstance(f, SumType):
                drops.append(f"        lms_release_node(lms, {place});")
        if drops:
            cases += [f"    case {kind}: {{", f"        {module.records[name]} *node = data;", *drops, "        break;", "    }"]
    return _CHILDREN.replace("    default:", "\n".join([*cases, "    default:"]))


_CHILDREN = """static void lms_children(lms_context *lms, int64_t kind, void *data, int64_t bytes) {
    switch (kind) {
    case 1:
        for (int64_t k = 0; k < bytes / (int64_t)sizeof(void *); k++) {
            void *node;
            memcpy(&node, (char *)data + k * (int64_t)sizeof node, sizeof node);
            lms_release_node(lms, node);
        }
        break;
    default:
        break;
    }
}"""
