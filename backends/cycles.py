"""Which functions call themselves, by whatever way."""

from __future__ import annotations

from collections.abc import Iterator

from lms.core import primitives as p
from lms.core.ir import Program, walk


def cycles(program: Program) -> dict[str, int]:
    """The functions that may call themselves, each with the number of its cycle (Tarjan's components)."""
    calls = {name: sorted({n.attrs["callee"] for n in walk(f.body) if n.op is p.control.call})
             for name, f in program.functions.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: dict[str, int] = {}
    for root in calls:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = []

        def visit(name: str, work: list[tuple[str, Iterator[str]]] = work) -> None:
            index[name] = low[name] = len(index)
            path.append(name)
            on_path.add(name)
            work.append((name, iter(calls[name])))

        visit(root)
        while work:
            name, rest = work[-1]
            for callee in rest:
                if callee not in index:
                    visit(callee)
                    break
                if callee in on_path:
                    low[name] = min(low[name], index[callee])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    component = [path.pop()]
                    while component[-1] != name:
                        component.append(path.pop())
                    on_path.difference_update(component)
                    if len(component) > 1 or name in calls[name]:
                        found.update(dict.fromkeys(component, index[name]))
    return found
