"""Evaluating a module: what stands at its top, in order, and its exports as functions that can be staged.

The evaluator makes programs and does not run them: `execute`, which the front door gives, runs a traced program that takes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lms.core.builder import current
from lms.core.data import dataclass
from lms.staging import functions as staging_functions
from lms.staging import trees
from lms.staging.arguments import Bound, Signature
from lms.staging.functions import Traced
from lms.staging.library.creation import copy
from lms.staging.rep import Rep

from ..check import typed as t
from ..check.modules import Definition, Module, Top
from ..check.types import UNIT, AnyType, default, prune
from ..parse import syntax as s
from ..parse.parser import deep_recursion
from . import compile as code
from . import loops, specials  # noqa: F401  # they register the code they make
from .cells import Cell, Variable
from .functions import TopFunction, function_of, outward
from .lending import Held
from .machine import BOUNDARIES, run
from .matching import binder
from .specials import TOP

Execute = Callable[[Traced], Any]


@dataclass
class Result:
    """What a statement at the top gave: its place in the file, its value (`()` for unit) and its type."""

    item: s.Item
    value: Any
    type: AnyType

    @property
    def is_unit(self) -> bool:
        return prune(self.type) == UNIT


class Evaluation:
    """The values of a module's names, found when they are first needed."""

    def __init__(self, module: Module, execute: Execute) -> None:
        self.module, self.execute = module, execute
        self.done: set[int] = set()

    def results(self) -> Iterator[Result]:
        """Evaluate everything at the top in order; each expression's value as it comes."""
        for top in self.module.tops:
            result = self.step(top)
            if result is not None:
                yield result

    def step(self, top: Top) -> Result | None:
        """Evaluate one thing at the top; the value of an expression."""
        for module in imported(self.module):
            Evaluation(module, self.execute).definitions()
        value = self.top(top)
        if isinstance(top.syntax, s.Expression) and top.typed is not None:
            return Result(top.syntax, value, default(top.typed.type))
        return None

    def definitions(self) -> None:
        """Evaluate the `let`s and `var`s, for their names."""
        for module in imported(self.module):
            Evaluation(module, self.execute).definitions()
        for top in self.module.tops:
            if not isinstance(top.syntax, s.Expression) and not all(p.set for p in top.places.values()):
                self.top(top)

    def top(self, top: Top) -> Any:
        """Evaluate one statement at the top."""
        node = top.typed
        if node is None or (top.places and all(p.set for p in top.places.values())):
            return ()
        if isinstance(node, t.Bind):
            values = binder(node.pattern)(self.value(node.value))
            for place, value in zip(top.places.values(), values, strict=True):
                place.value, place.set = value, True
            return ()
        if isinstance(node, t.NewVariable):
            (place,) = top.places.values()
            place.value, place.set = Cell(node.name, self.value(node.value), node.span), True
            return ()
        return self.value(node)

    def value(self, node: t.Typed) -> Any:
        """The value of an expression at the top. What of it exists later is made into a program, and run."""
        with deep_recursion():
            compiled = code.compile(node)
        kept: list[Any] = []
        variables = [(p, p.value.get()) for p in _variables(self.module, set())]
        written: set[t.Place] = set()  # the variables whose arrays are written to

        def body() -> Any:
            for p, held in variables:  # for this program they are variables of it
                p.value = Variable(p.name, _own(p, code.staged_again(held, p.type, p.span), written), p.span, p)
            value = run(compiled.run, (), (_top_done, None, node.span))
            kept.append(value)
            return outward(value) if _staged(value) else None, tuple(p.value.get() for p, _ in variables)

        body.__name__ = body.__qualname__ = TOP
        signature = Signature(body)
        signature.span = node.span
        after = [held for _, held in variables]
        try:
            traced = staging_functions.trace(body, signature, Bound())
            if not _staged(kept[-1]) and not traced.program.main.body.nodes:
                return kept[-1]
            found, after = self.execute(traced)
        finally:
            for (p, _), held in zip(variables, after, strict=True):
                p.value = Cell(p.name, held, p.span)
        return kept[-1] if not _staged(kept[-1]) else () if found is None else found


def _variables(module: Module, seen: set[Module]) -> Iterator[t.Place]:
    """The variables of later that a module and what it imports have at their tops, once each."""
    if module in seen:
        return
    seen.add(module)
    tops = {id(x): x for x in (*module.tops, *module.values.values()) if isinstance(x, Top)}
    for top in tops.values():
        yield from (p for p in top.places.values() if p.mutable and p.later and p.set)
    for other in imported(module):
        yield from _variables(other, seen)


def _own(place: t.Place, value: Any, written: set[t.Place]) -> Any:
    """The value of a variable at the top, for a program: the array itself as long as it is only read, else a copy."""
    if not isinstance(value, Rep) or not value.ndim:
        return value
    if place in written:
        with current().at(place.span):
            return copy(value)

    def write() -> None:
        written.add(place)
        raise staging_functions.Restart

    return Held(value.value, write)


def _top_done(frame: Any, value: Any) -> Any:
    return None, value, None


BOUNDARIES[_top_done] = lambda frame: ("the file", frame[2])


def _staged(value: Any) -> bool:
    return any(isinstance(x, Rep) for x in trees.leaves(value))


def imported(module: Module) -> Iterator[Module]:
    """The modules a module names, and those from which it took names."""
    seen = {id(module)}
    for entry in module.values.values():
        other = entry if isinstance(entry, Module) else getattr(entry, "module", None)
        if isinstance(other, Module) and id(other) not in seen:
            seen.add(id(other))
            yield other


def exported(module: Module, name: str) -> TopFunction:
    """A function of a module that is not generic. Raises `KeyError`."""
    definition = module.values[name]
    if not isinstance(definition, Definition) or any(g.is_type for g in definition.syntax.generics):
        raise KeyError(name)
    instance = module.instance(definition, {})
    module.check_instance(instance)
    return function_of(instance)
