"""The pass that expands `vjp` and `jvp` nodes, innermost first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Effects
from lms.core.errors import StagingError
from lms.core.ir import Node, Program, walk

from .checkpoint.plans import Plans
from .forward import ForwardMode
from .reverse import ReverseMode

_DERIVATIVES = (p.control.vjp, p.control.jvp)


@dataclass(frozen=True, slots=True)
class Differentiate:
    """Expand derivatives of functions that hold none themselves, until none is left; `simplify` the program each time.

    What backward halves do again rather than have it saved is added to `again`.
    """

    simplify: Callable[[Program], Program] | None = None
    again: list[Node] = field(default_factory=list, repr=False)
    name: ClassVar[str] = "differentiate"

    def run(self, program: Program) -> Program:
        """The program without `vjp` and `jvp`. Raises `StagingError` where something cannot be differentiated."""
        forget_rules(program)
        while any(True for _ in derivatives(program)):
            program = self.simplify(program) if self.simplify else program
            ready = [node for node in derivatives(program) if not _reaches_derivative(program, node.attrs["callee"])]
            if not ready and any(True for _ in derivatives(program)):
                node = next(derivatives(program))
                raise StagingError(f"the derivative of {node.attrs['callee']!r} is needed to make itself", node.span)
            plans = Plans(program)
            for node in ready:
                if node.op is p.control.vjp:
                    node.attrs["callee"] = plans.planned(node.attrs["callee"], node.attrs.pop("checkpoint", None))
            reverse, forward = ReverseMode(program), ForwardMode(program)
            for node in ready:
                (reverse if node.op is p.control.vjp else forward).expand(node)
            self.again.extend(reverse.again)
            declare_writes(program)
        for function in program.functions.values():
            for node in walk(function.body):
                for key in ("halves", "again", "recorded", "revolve", "checkpoint"):  # rules and plans have done their work
                    node.attrs.pop(key, None)
        return program


def declare_writes(program: Program) -> None:
    """Say of the functions that were made which parameters they write to."""
    effects = Effects(program)
    for function in program.functions.values():
        if function.name != program.entry:
            changed = effects.changed(function)
            function.mut |= frozenset(k for k, v in enumerate(function.body.params) if v in changed)


def derivatives(program: Program) -> Iterator[Node]:
    """The `vjp` and `jvp` nodes of a program."""
    for function in list(program.functions.values()):
        yield from (node for node in walk(function.body) if node.op in _DERIVATIVES)


def forget_rules(program: Program) -> None:
    """Take the user's rules away from calls that nothing differentiates: what is in them need not be made."""
    live = _reached(program, {program.entry} & program.functions.keys() or set(program.functions), rules=False)
    differentiated: set[str] = set()
    while True:
        asked = (node for name in live for node in walk(program.functions[name].body) if node.op in _DERIVATIVES)
        found = _reached(program, {node.attrs["callee"] for node in asked}, rules=True)
        if found <= differentiated:
            break
        differentiated |= found
        live |= found
    for name, function in program.functions.items():
        if name not in differentiated:
            for node in walk(function.body):
                node.attrs.pop("halves", None)


def _reached(program: Program, names: set[str], rules: bool) -> set[str]:
    """The functions that these call or differentiate, themselves among them; `rules`: and the rules of those calls."""
    found, stack = set(names), list(names)
    while stack:
        for node in walk(program.functions[stack.pop()].body):
            if node.op is p.control.call or node.op in _DERIVATIVES:
                for name in (node.attrs["callee"], *(node.attrs.get("halves", ()) if rules else ())):
                    if name not in found:
                        found.add(name)
                        stack.append(name)
    return found


def _reaches_derivative(program: Program, name: str) -> bool:
    """Whether a function, or one that it calls, holds a derivative node."""
    seen, stack = {name}, [name]
    while stack:
        for node in walk(program.functions[stack.pop()].body):
            if node.op in _DERIVATIVES:
                return True
            if node.op is p.control.call and node.attrs["callee"] not in seen:
                seen.add(node.attrs["callee"])
                stack.append(node.attrs["callee"])
    return False
