"""The array and math functions of the Python side: their names and their calls. What they take and give, they say themselves."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from lms.core.errors import LmsError
from lms.core.lazy import special
from lms.core.types import SCALARS, Scalar
from lms.staging import calls  # noqa: F401  # `calls` has the staged forms of what Python and NumPy offer
from lms.staging.library import linalg, ops
from lms.staging.table import ALWAYS, STAGED, holds_rep

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..run.lending import claim, lend_views
from ..run.operations import emitted
from . import typed as t
from .calls import Builtin
from .checker import BOOL, F64, Checker, Expect, Scope
from .places import written
from .trial import result_type, shape_of
from .types import Later, Meta, default, element, holds_later, is_later, prune, show, unify

# NumPy's other names, and those of `math` and `scipy.special`; the names of `lms` are in `ops` and `linalg`.
OTHERS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (np, ("absolute", "around", "array_equal", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_right_shift",
          "conjugate", "deg2rad", "fabs", "fix", "float_power", "identity", "ix_", "mod", "nan_to_num", "pow", "ptp", "rad2deg",
          "round", "sinc", "true_divide")),
    (np.linalg, ("matrix_norm", "matrix_transpose", "vecdot", "vector_norm")),
    (math, ("dist", "factorial", "fsum", "gcd", "modf")),
    (special, ("betaln", "entr", "expit", "gammaln", "loggamma", "logit", "ndtr", "psi")),
)
LEFT_OUT = {  # what is not reached by its name, and what to write instead
    "asarray": "`array(xs)`", "asanyarray": "`array(xs)`", "ascontiguousarray": "`copy(a)`", "astype": "`f64(a)`",
    "var": "`square(std(a))`, since `var` is a word of the language", "ndim": "the type says it", "shape": "`size(a, axis)`",
    **dict.fromkeys(("complex64", "complex128"), "there are no complex numbers"),
    **{str(x.dtype): f"`{name}(x)`" for name, x in SCALARS.items() if not x.is_complex and name != "bool"},
}
OWN = frozenset(("array", "bool", "size", "min", "max"))  # the language's own functions of these names are in `builtins`
WRITES = frozenset(("fill_diagonal",))  # to their first argument
# whose operands are of one element type: a literal takes that of the others
ALIKE = frozenset(("maximum", "minimum", "power", "hypot", "arctan2", "atan2", "copysign", "logaddexp", "fmod", "where", "clip",
                   "add",
                   "subtract", "multiply", "divide", "xlogy", "xlog1py", "isclose", "equal", "less", "greater", "remainder"))


def functions() -> dict[str, Builtin]:
    """What can be called, by name."""
    found = {name: getattr(library, name) for library in (linalg, ops) for name in library.__all__}
    for library, names in OTHERS:
        known = [name for name in names if library is special or hasattr(library, name)]  # some are new in NumPy 2
        found |= {name: partial(_called, getattr(library, name)) for name in known}
    return {name: _function(name, f) for name, f in found.items() if name not in OWN and name not in LEFT_OUT}


def _called(f: Any, *args: Any, **named: Any) -> Any:
    """A function of a library: its staged form, if something staged is among its arguments, or it makes an array."""
    return (_staged(f) if f in ALWAYS or holds_rep(args, named) else f)(*args, **named)


def _staged(f: Any) -> Any:
    return STAGED.find(f) or STAGED.find(f.resolve())


def _function(name: str, f: Any) -> Builtin:
    def check(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
        return call_function(c, name, f, e, scope, want)

    doc = (_staged(f.args[0]) if isinstance(f, partial) else f).__doc__
    return Builtin(name, check, (doc or "").strip().partition("\n")[0])


def call_function(c: Checker, name: str, f: Any, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    args = [c.expression(a.value, scope) for a in e.args]
    _settle_literals(name, e, args, want)
    shapes = [shape_of(a.type, _known_value(a)) for a in args]
    for a, shape in zip(args, shapes, strict=True):
        if shape is None:
            raise Diagnostic("E0314", f"`{name}` takes numbers and arrays, found `{show(a.type)}`", a.span)
    if name in WRITES and e.args:
        written(c, e.args[0].value, scope, e.span)
    by_place = [x for x, a in zip(shapes, e.args, strict=True) if not a.name]
    by_name = {a.name: x for x, a in zip(shapes, e.args, strict=True) if a.name}
    try:
        type = result_type(f, by_place, by_name)  # type: ignore[arg-type]  # none is None
    except (LmsError, TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError, NotImplementedError) as error:
        shown = ", ".join((a.name + " = " if a.name else "") + f"`{show(x.type)}`" for a, x in zip(e.args, args, strict=True))
        message = error.message if isinstance(error, LmsError) else str(error)
        raise Diagnostic("E0314", f"`{name}` does not take {shown}: {message}", e.span,
                         fix=error.fix if isinstance(error, LmsError) else "") from None
    names = [a.name for a in e.args]
    return t.Operation(e.span, type, name, tuple(args), lambda node: _run_function(node, f, names))


def _run_function(node: t.Operation, f: Any, names: list[str]) -> Any:
    def call(*values: Any) -> Any:
        if node.name in WRITES:
            claim(values[0], node.span)
        by_place = [v for v, n in zip(values, names, strict=True) if not n]
        found = f(*by_place, **{n: v for v, n in zip(values, names, strict=True) if n})
        return () if found is None else found

    if holds_later(node.type) or any(holds_later(a.type) for a in node.args):
        return emitted(node.span, lambda *values: lend_views(call(*values), values))

    def run(*values: Any) -> Any:
        try:
            with np.errstate(all="ignore"):  # as later, where exp(1000.0) is inf and nobody is told
                value = call(*values)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
            raise Diagnostic("E0502", f"`{node.name}`: {error}", node.span) from None
        return value.item() if hasattr(value, "item") else value

    return run


def _settle_literals(name: str, e: s.Call, args: list[t.Typed], want: Expect | None) -> None:
    """Literals among the arguments: of the type of the others where the function wants them alike."""
    places = [a for a, arg in zip(args, e.args, strict=True) if not arg.name]
    known = next((x for a in places if (x := element(a.type)) is not None and (name != "where" or x != BOOL)), None)
    goal = element(want.type) if want is not None else None
    for a in args:
        have = prune(a.type)
        if isinstance(have, Meta):
            target = known if name in ALIKE and a in places else None
            if target is None and not have.kind:
                target = F64
            if target is None and known is None and name not in _COUNTS and goal is not None and goal.is_float:
                target = goal
            if have.open and want is not None and is_later(want.type) and target is not None:
                unify(have, Later(target))
            elif target is not None:
                unify(have, target)
            default(have)
        else:
            default(have)


_COUNTS = frozenset(("zeros", "ones", "full", "empty", "arange", "eye", "reshape", "linspace"))


def _known_value(a: t.Typed) -> Any:
    """What is known of an argument before anything runs: literals, and tuples and lists of them."""
    if isinstance(a, t.Constant):
        x = prune(a.type)
        return float(a.value) if isinstance(x, Scalar) and x.is_float else a.value
    if isinstance(a, t.Tuple | t.List):
        return tuple(_known_value(x) for x in a.items)
    if isinstance(a, t.Operation) and a.name == "-" and len(a.args) == 1 and (x := _known_value(a.args[0])) is not None:
        return -x
    return None
