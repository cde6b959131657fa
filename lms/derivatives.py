"""`grad` and its kin outside staged code: each gives a staged function, whose body is the derivative as staged code has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from lms.ad import api as ad
from lms.ad.continuations import check_form
from lms.ad.custom import Rules, check_parameters
from lms.core.builder import staging
from lms.core.data import replace
from lms.core.errors import StagingError, StagingTypeError, here
from lms.staging.arguments import Signature
from lms.staging.checkpoints import plan

from . import pullback as halves
from .api import Staged, staged
from .specialization import Options

_FORM = "__lms_form__"


class Derived(Staged[..., Any]):
    """A staged function made of another one: `grad(f)`. It pickles as that transformation of that function."""

    def __init__(self, make: Callable[..., Any], f: Staged[..., Any], options: dict[str, Any], body: Callable[..., Any],
                 signature: Signature) -> None:
        super().__init__(f.unstaged, f.options, signature)
        self.make, self.of, self.settings, self._body = make, f, options, body

    @property
    def body(self) -> Callable[..., Any]:
        return self._body

    def plainly(self, args: Sequence[Any], kwargs: Any) -> Any:
        """Without staging, a derivative still goes through the program, and the interpreter runs it."""
        plain = staged(self.of.unstaged, Options("interpret"))
        return Derived(self.make, plain, self.settings, self._body, self.signature)._outside(args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.make, self.of, self.settings)

    def __repr__(self) -> str:
        return f"<staged {self.signature.name}>"


def _again(make: Callable[..., Any], f: Any, settings: dict[str, Any]) -> Any:
    return make(f, **settings)


def as_staged(f: Callable[..., Any]) -> Staged[..., Any]:
    """`f` if it is staged, else its staged form, always the same one."""
    if isinstance(f, Staged):
        return f
    known = getattr(f, "__dict__", {})  # kept with the function, so that it goes when the function goes
    if (found := known.get(_FORM)) is None:
        found = staged(ad.callable_or_error(f))
        if isinstance(f, FunctionType):
            known[_FORM] = found
    return found


def _derived(make: Callable[..., Any], inside: Callable[..., Any], f: Callable[..., Any], settings: dict[str, Any]) -> Any:
    if staging():
        return inside(f, **settings)
    s = as_staged(f)
    settings = {k: tuple(v) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in settings.items()}
    signature = s.signature.returning(f"{make.__name__}({s.signature.name})")
    return kept(s, (make, *settings.items()), lambda: Derived(make, s, settings, inside(s, **settings), signature))


def kept(s: Staged[..., Any], key: Any, make: Callable[[], Staged[..., Any]]) -> Staged[..., Any]:
    """What was made of a staged function before, so that it is staged and compiled once."""
    known: dict[Any, Staged[..., Any]] = s.__dict__.setdefault("_derived", {})
    return known[key] if key in known else known.setdefault(key, make())


def grad(f: Callable[..., Any], argnums: int | str | Sequence[int | str] = 0, has_aux: bool = False,
         checkpoint: str | None = None) -> Staged[..., Any]:
    """The gradient of a function whose result is one float, as a staged function.

    `argnums` says by which arguments: numbers or names, one or several. The gradient is a container like the argument, with
    None for what is no float. With `has_aux`, `f` gives the float and something else, and the result is (gradient, that).
    `checkpoint` is the plan of the outermost loops of `f` that have none of their own: `"sqrt"` or `"revolve(20)"`.
    Raises `TypeError` for an argument without floats, `StagingError` for a plan that cannot work.

        lms.grad(lambda x: x * x)(3.0)      # 6.0

    Source: Wang et al., Demystifying Differentiable Programming (ICFP 2019).
    """
    settings = {"argnums": argnums, "has_aux": has_aux, "checkpoint": checkpoint}
    return _derived(grad, ad.grad, f, settings)  # type: ignore[no-any-return]  # a callable


def value_and_grad(f: Callable[..., Any], argnums: int | str | Sequence[int | str] = 0,
                   has_aux: bool = False, checkpoint: str | None = None) -> Staged[..., Any]:
    """As `grad`, but gives the value too: (value, gradient), or ((value, something else), gradient) with `has_aux`.

        lms.value_and_grad(lambda x: x * x)(3.0)        # (9.0, 6.0)
    """
    settings = {"argnums": argnums, "has_aux": has_aux, "checkpoint": checkpoint}
    return _derived(value_and_grad, ad.value_and_grad, f, settings)  # type: ignore[no-any-return]  # a callable


def checkpoint(f: Callable[..., Any]) -> Staged[..., Any]:
    """`f`, of which a gradient keeps nothing but the arguments: the backward half runs it again, on a copy of what it changes.

    What it prints, it prints once. Raises `StagingError` where it calls Python, or changes an array it knows by two names.

        layer = lms.checkpoint(lambda x: x * x)
        lms.grad(lambda x: np.sum(layer(layer(x))))(np.ones(3))     # [4.0, 4.0, 4.0]

    Source: Chen et al., Training deep nets with sublinear memory cost, 2016.
    """
    return _derived(checkpoint, ad.checkpoint, f, {})  # type: ignore[no-any-return]  # a callable


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """What `f` gives at `primals`, and its derivative in the direction `tangents`: one for each, None beside what is no float.

    A tangent has the shape and type of its primal. Raises `TypeError` for another number of them.

        lms.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))     # (6.0, 3.0)
    """
    if staging():
        return ad.jvp(f, primals, tangents)
    ad.require_beside(as_staged(f).signature, primals, tangents)
    return _forward(as_staged(f), tuple(primals))(*primals, *tangents)  # type: ignore[no-any-return]  # a pair


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a function with a float result, times a vector: the derivative of its gradient in a direction.

    One argument gives what is like it; several, a tuple, with None for what is no float.

        lms.hvp(lambda x: x**3, (2.0,), (1.0,))     # 12.0

    Source: Pearlmutter, Fast exact multiplication by the Hessian (Neural Computation 6, 1994).
    """
    if staging():
        return ad.hvp(f, primals, tangents)
    ad.require_beside(as_staged(f).signature, primals, tangents)
    return _forward(as_staged(f), tuple(primals), ad.hvp)(*primals, *tangents)


def _forward(s: Staged[..., Any], primals: tuple[Any, ...], of: Callable[..., Any] = ad.jvp) -> Staged[..., Any]:
    n = len(primals)

    def make() -> Staged[..., Any]:
        def body(*args: Any) -> Any:
            return of(s, args[:n], args[n:])

        signature = s.signature.positional(primals, [f"tangent_{k}" for k in range(n)], f"{of.__name__}({s.signature.name})")
        return Derived(_forward, s, {"primals": primals, "of": of}, body, signature)

    return kept(s, (of, n), make)


def vjp(f: Callable[..., Any], *primals: Any, checkpoint: str | None = None) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """What `f` gives, and its pullback: from a cotangent of that to the cotangents of the arguments, a tuple of them.

    A cotangent has the shape and type of the result. `f` runs once. What the backward half takes of it the pullback owns, so it
    may be called any number of times, from any thread, whatever happens to the arrays. `checkpoint` is the plan of the outermost
    loops that have none, as for `grad`. Raises `StagingError` for a plan that cannot work.

        y, pull = lms.vjp(lambda x: x * x, 3.0)
        pull(1.0)       # (6.0,)
    """
    if staging():
        return ad.vjp(f, *primals, checkpoint=checkpoint)
    first = _parted(as_staged(f), primals, plan(checkpoint, "the loops of this function"))
    value, residuals, backward = first(*primals)
    second = kept(first, backward, lambda: Derived(_parted, first, {}, backward.body, backward.signature))

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        return second(*residuals, cotangent)  # type: ignore[no-any-return]  # a tuple

    return value, pullback


def _parted(s: Staged[..., Any], primals: tuple[Any, ...], checkpoint: str | None) -> Staged[..., Any]:
    n = len(primals)

    def make() -> Staged[..., Any]:
        signature = s.signature.positional(primals, [], s.signature.name)
        return Derived(_parted, s, {"primals": primals, "checkpoint": checkpoint}, halves.forward(s, n, checkpoint), signature)

    return kept(s, ("vjp", n, checkpoint), make)


def derivative(f: Callable[..., Any], mode: str = "reverse") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a staged function a derivative of its own: a generator with its parameters, and one `yield`.

    What is yielded is the function's result, what comes back its cotangent; the rule returns a cotangent for every argument
    that is staged, None for "no gradient". With `mode="forward"` the rule is an ordinary function
    `(primals, tangents) -> (result, tangent)`. Where only one of the two is given, the other mode is derived from it.
    Raises `StagingError` for another form, `TypeError` for a function that is not staged.

        @lms.stage
        def clip(x):
            return np.clip(x, 0.0, 1.0)

        @lms.derivative(clip)
        def _clip(x):
            dz = yield clip(x)
            return dz

        lms.grad(clip)(2.0)     # 1.0
    """
    if not isinstance(f, Staged):
        raise StagingTypeError(f"{f!r} is not a staged function, so it has no derivative of its own", here(),
                               fix="decorate it with @lms.stage")
    if mode not in ("reverse", "forward"):
        raise StagingError(f"a derivative is for mode 'reverse' or 'forward', not {mode!r}", here())

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        if mode == "reverse":
            check_form(rule)
        check_parameters(rule, f.signature, mode)
        f.rule = replace(f.rule or Rules(), **{mode: rule})
        f.__dict__.pop("_derived", None)
        return rule

    return register


def jacobian(f: Callable[..., Any], argnums: int | str | Sequence[int | str] = 0) -> Staged[..., Any]:
    """The derivative of every element of the result by every element of an argument, as a staged function.

    For a result of shape `(m,)` and an argument of shape `(n,)` it is of shape `(m, n)`: the argument's axes come last. A
    container like the result, of containers like the argument. Columns go through eight at a time, in one sweep of the
    function; where there are few results, rows are taken in reverse. Raises `TypeError` for an argument without floats.

        lms.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))     # [[2, 0], [0, 4]]
    """
    return _derived(jacobian, ad.jacobian, f, {"argnums": argnums})  # type: ignore[no-any-return]  # a callable


def hessian(f: Callable[..., Any], argnums: int | str = 0) -> Staged[..., Any]:
    """The second derivatives of a function with a float result by the elements of one argument: of shape `(n, n)` for `(n,)`.

    Raises `TypeError` for an argument without floats.

        lms.hessian(lambda x: x[0] * x[1])(np.array([1.0, 2.0]))        # [[0, 1], [1, 0]]
    """
    return jacobian(grad(f, argnums), argnums)
