"""What rewritten code calls: one `Runtime` for each virtualised function, with the places of its constructs.

Nothing here needs a program: outside staging every construct does what Python does.
"""

from __future__ import annotations

import builtins
import operator
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current, staging
from lms.core.errors import LmsError, Span, StagingError, here
from lms.core.ir import Block, walk
from lms.core.types import ArrayType, SumType

from .. import reach, records
from ..library import indexing
from ..rep import Rep, lift_value
from . import choices, hygiene, iterables, loops, matching, messages, state
from .blocks import blocks, close_block, home, inside
from .choices import Branch, Choice, Dead, Logic, Site
from .comprehensions import Gathering, as_array, once


class _Open(threading.local):
    """Expressions under evaluation, innermost last: choices, comparisons, comprehensions."""

    def __init__(self) -> None:
        self.stack: list[Any] = []


_open = _Open()


class Kept:
    """The operand that two comparisons of a chain share."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Try:
    """A `try` statement: it catches what is raised now. What may be raised later cannot be caught."""

    def __init__(self) -> None:
        self.b = current() if staging() else None
        self.depth = len(_open.stack)
        if self.b is not None:
            self.block: Block = self.b.block
            self.before = len(self.block.nodes)

    def caught(self) -> None:
        """In a handler: errors of staging are not the user's to catch."""
        if isinstance(sys.exception(), LmsError | Dead):
            raise  # what is being handled
        del _open.stack[self.depth:]
        if self.b is not None:
            opened = blocks(self.b).opened
            while self.b.block is not self.block and opened:
                close_block(self.b, opened[-1])

    def check(self) -> None:
        """After the body: refuse what may be raised later."""
        if self.b is None:
            return
        for node in walk(Block(nodes=self.block.nodes[self.before:])):
            if node.op.effect.raises or node.op is p.control.call:
                raise StagingError("this may raise later, when nobody is there to catch it: `try` catches what is raised now",
                                   node.span, fix="test the condition before, with `if`")


class Place:
    """An attribute or item that `op=` changes; its value is read before the right side is evaluated."""

    def __init__(self, owner: Any, key: Any) -> None:
        self.owner, self.key = owner, key
        self.old = self.read()

    def read(self) -> Any:
        return self.owner[self.key]

    def write(self, value: Any) -> None:
        hygiene.may_change(self.owner)[self.key] = value


class AttributePlace(Place):
    def read(self) -> Any:
        return getattr(self.owner, self.key)

    def write(self, value: Any) -> None:
        setattr(hygiene.may_change(self.owner), self.key, value)


_OPERATORS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "Add": (operator.iadd, operator.add), "Sub": (operator.isub, operator.sub), "Mult": (operator.imul, operator.mul),
    "Div": (operator.itruediv, operator.truediv), "FloorDiv": (operator.ifloordiv, operator.floordiv),
    "Mod": (operator.imod, operator.mod), "Pow": (operator.ipow, operator.pow), "MatMult": (operator.imatmul, operator.matmul),
    "BitAnd": (operator.iand, operator.and_), "BitOr": (operator.ior, operator.or_), "BitXor": (operator.ixor, operator.xor),
    "LShift": (operator.ilshift, operator.lshift), "RShift": (operator.irshift, operator.rshift),
}


def inplace(op: str, x: Any, y: Any) -> Any:
    """`x op= y`: arrays and lists are changed where they are, everything else is made anew."""
    change, make = _OPERATORS[op]
    if isinstance(x, Rep):
        if isinstance(x.type, ArrayType):
            x[...] = make(x, y)
            return x
        return make(x, y)
    if staging() and hasattr(type(x), f"__{change.__name__.strip('_')}__") and not isinstance(x, hygiene.VALUES):
        if isinstance(y, Rep) and hasattr(x, "dtype"):
            return make(x, y)
        hygiene.may_change(x)
    return change(x, y)


def change(place: Place, op: str, value: Any) -> None:
    """`place op= value`."""
    new = inplace(op, place.old, value)
    if new is not place.old or not isinstance(new, Rep) or _gathered(place.owner, new):
        place.write(new)


def _gathered(owner: Any, part: Rep) -> bool:
    """Whether a part of a staged array is a copy: chosen by an array of indices or of bools, and not a view."""
    node = part.value.node
    return isinstance(owner, Rep) and part is not owner and node is not None and node.op.effect.view is None


def attribute(x: Any, name: str) -> Any:
    """`x.name`, where staged records may have a field of that name as well as `Rep` itself."""
    if isinstance(x, Rep) and isinstance(x.type, SumType):
        return records.field(x, name)
    return getattr(x, name)


# ----------------------------------------------------------------------------------------------- calls


def call(f: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A call in staged code."""
    if not staging():
        return f(*args, **kwargs)
    if _hashable(f) and f in _SPECIAL:
        return hygiene.made_by_call(_SPECIAL[f](*args, **kwargs))
    if _hashable(f) and f in _FRAMES:
        raise StagingError(f"`{f.__name__}` looks at a frame or at text, which staging rewrites", here(),
                           fix="name the variables")
    hygiene.check_call(f, args)
    if any(isinstance(x, iterables.Later) for x in args) and reach.python_function(f) is None:
        if f is len:
            return args[0].count
        args = tuple(as_array(x) if isinstance(x, iterables.Later) else x for x in args)
        if f in (list, tuple):
            return args[0]
    if _own_init(f):
        new = f.__new__(f)
        hygiene.made(new)
        call(f.__init__, new, *args, **kwargs)
        return new
    from ..calls import staged_call

    return hygiene.made_by_call(staged_call(f, args, kwargs))


_SPECIAL: dict[Any, Callable[..., Any]] = {
    print: messages.print_later, range: iterables.range_, enumerate: iterables.enumerate_, reversed: iterables.reversed_,
    zip: iterables.zip_, map: iterables.map_,
}
_FRAMES = frozenset((builtins.locals, builtins.vars, builtins.eval, builtins.exec))


def _hashable(f: Any) -> bool:
    return getattr(type(f), "__hash__", None) is not None and not isinstance(f, Rep)


def _own_init(f: Any) -> bool:
    """Whether `f` is a class whose objects its user's `__init__` makes, and nothing else."""
    plain = type(f) is type and getattr(f, "__new__", None) is object.__new__
    code = getattr(getattr(f, "__init__", None), "__code__", None)
    return plain and code is not None and not code.co_filename.startswith("<string")


# ----------------------------------------------------------------------------------------- expressions


def choose(place: Span, test: Any) -> Choice:
    """`... if test else ...` begins."""
    _open.stack.append(Choice(place, test))
    return _open.stack[-1]  # type: ignore[no-any-return]  # what was just put there


def then() -> bool:
    return bool(_top(Choice).then())


def orelse() -> bool:
    return bool(_top(Choice).orelse())


def side(x: Any) -> Any:
    return _top(Choice).side(x)


def meet(choice: Choice, x: Any, y: Any) -> Any:
    """... and ends."""
    _open.stack.pop()
    return choice.meet(x, y)


def logic(place: Span, both: bool, left: Any) -> Logic:
    """`left and ...`, `left or ...`."""
    _open.stack.append(Logic(place, both, left))
    return _open.stack[-1]  # type: ignore[no-any-return]  # what was just put there


def undecided() -> bool:
    """Whether the right side is evaluated."""
    return bool(_top(Logic).open())


def decide(it: Logic, right: Any) -> Any:
    _open.stack.pop()
    return it.meet(right)


def keep(x: Any) -> Any:
    """The operand in the middle of `a < x < b`."""
    _open.stack.append(Kept(x))
    return x


def kept() -> Any:
    return next(k.value for k in reversed(_open.stack) if isinstance(k, Kept))


def decide_chain(it: Logic, right: Any) -> Any:
    _open.stack.pop()
    _open.stack.pop()  # what was kept
    return it.meet(right)


def _top(kind: type[Any]) -> Any:
    top = _open.stack[-1]
    assert isinstance(top, kind)
    return top


# --------------------------------------------------------------------------------------- comprehensions


def each(xs: Any, kind: str, first: bool, me: int, parts: iterables.Parts) -> Iterable[Any]:
    """What a comprehension goes over: what is there now, or the one item that stands for all that come later."""
    source = iterables.later(xs) if staging() else None
    if source is None:
        if first:
            _open.stack.append(None)
        if parts is not None:
            return (iterables.unpack(x, parts) for x in xs)
        return xs  # type: ignore[no-any-return]  # Python says so if it is not iterable
    if kind not in ("list", "generator"):
        what = f"a {kind}" if kind else "a comprehension with a second `for`"
        raise StagingError(f"{what} over a sequence that exists later cannot be staged", here(),
                           fix="write a loop that fills an array, and count what is in it")
    gathering = Gathering(source, me)
    _open.stack.append(gathering)
    return once(iterables.unpack(gathering.item, parts))


def gathered(items: Any) -> Any:
    """What a comprehension made: a list of now, or an array."""
    gathering = _open.stack[-1]
    if gathering is not None:
        items = gathering.close(list(items))  # runs a generator, whose `if`s look for the gathering
    _open.stack.pop()
    return hygiene.made(items)


def selects(test: Any, me: int) -> bool:
    """The `if` of a comprehension, by its number: a generator may run inside another comprehension."""
    ok = choices.truth(test)
    if not isinstance(ok, Rep):
        return bool(ok)
    gathering = _open.stack[-1] if _open.stack else None
    if not isinstance(gathering, Gathering) or gathering.number != me:
        raise StagingError("this `if` is decided later, so the length of the list is not known now", here(),
                           fix="go through an array, or weigh the items: `x if c else 0.0`")
    gathering.only_if(ok)
    return True


# ------------------------------------------------------------------------------------------------ errors


def error(e: Any) -> BaseException:
    """What `raise e` raises now: `e`, or the end of the block in which the program raises it later."""
    if staging() and inside(current()) and not isinstance(e, LmsError | Dead):
        return choices.raise_later(e)
    return e  # type: ignore[no-any-return]  # Python says so if it is no exception


def fails(test: Any) -> bool:
    """Whether the message of an `assert` is evaluated: it fails, or may fail later."""
    ok = choices.truth(test)
    if ok is True:
        return False
    _open.stack.append(ok)
    return True


def fail(*message: Any) -> None:
    """... and fails."""
    ok = _open.stack.pop()
    if isinstance(ok, Rep):
        current().emit(p.control.check, ok.value, *messages.operands_of(message), error="AssertionError",
                       message=messages.template(message))
        return
    raise error(AssertionError(*message))


def home_() -> Block | None:
    """The block that a function's variables live in."""
    return home(current()) if staging() else None


def outside(x: Any) -> Any:
    """A captured variable: one that holds an array is an input of the program."""
    from ..calls import is_captured

    return Rep(lift_value(x)) if type(x) is np.ndarray and staging() and is_captured(x) else x


class Runtime:
    """The names that rewritten code uses, and the sites of one function."""

    Branch, For, While, Match, Try, Dead = Branch, loops.For, loops.While, matching.Match, Try, Dead
    Item, Attribute = Place, AttributePlace
    locals = staticmethod(builtins.locals)
    call = staticmethod(call)
    attribute = staticmethod(attribute)
    read = staticmethod(state.read)
    choose = staticmethod(choose)
    then = staticmethod(then)
    orelse = staticmethod(orelse)
    side = staticmethod(side)
    meet = staticmethod(meet)
    logic = staticmethod(logic)
    undecided = staticmethod(undecided)
    decide = staticmethod(decide)
    keep = staticmethod(keep)
    kept = staticmethod(kept)
    decide_chain = staticmethod(decide_chain)
    logical_not = staticmethod(choices.logical_not)
    contains = staticmethod(choices.contains)
    identical = staticmethod(choices.identical)
    outside = staticmethod(outside)
    indexed = staticmethod(indexing.indexed)
    each = staticmethod(each)
    unpack = staticmethod(iterables.unpack)
    gathered = staticmethod(gathered)
    selects = staticmethod(selects)
    inplace = staticmethod(inplace)
    change = staticmethod(change)
    error = staticmethod(error)
    fails = staticmethod(fails)
    fail = staticmethod(fail)
    text = staticmethod(messages.text)
    made = staticmethod(hygiene.made)
    may_change = staticmethod(hygiene.may_change)
    assigns_global = staticmethod(hygiene.assigns_global)
    assigns_nonlocal = staticmethod(hygiene.assigns_nonlocal)
    home = staticmethod(home_)

    def __init__(self, file: str, sites: list[Site]) -> None:
        self.file = file
        self.sites = sites

    def span(self, line: int, column: int, end_line: int, end_column: int) -> Span:
        return Span(self.file, line, column, end_line, end_column)
