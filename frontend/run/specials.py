"""Built-in functions that speak of stages: printing and errors now or later, `reify`, and the derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.ad import api as ad
from lms.core import primitives as p
from lms.core.builder import current, staging
from lms.core.errors import Span
from lms.core.types import bool_
from lms.staging.control.blocks import inside
from lms.staging.control.messages import operands_of, template
from lms.staging.control.messages import text as make_text
from lms.staging.rep import Rep

from ..check import typed as t
from ..check.types import AnyType, prune
from ..diagnostics import Diagnostic
from .compile import Code, compile, compiles, sequence
from .functions import StagedFunction, inward, outward_directions, staged_form
from .lending import CALLED, lend
from .machine import Frame, State, give
from .printing import shown
from .staged_control import dead, explained

Special = Callable[[t.Special, tuple[Any, ...], Any], State]
SPECIALS: dict[str, Special] = {}


def special(name: str) -> Callable[[Special], Special]:
    def register(f: Special) -> Special:
        SPECIALS[name] = f
        return f

    return register


@compiles(t.Special)
def compile_special(node: t.Special) -> Code:
    f = SPECIALS[node.name]
    return Code(None, sequence([compile(a) for a in node.args], lambda values, env, k: f(node, values, k)))


# ------------------------------------------------------------------------------------------ printing, errors


def _text(node: t.Special, values: tuple[Any, ...], first: int = 0) -> Any:
    """The text of some values: a string, or one that is completed later."""
    parts: list[Any] = []
    for a, x in zip(node.args[first:], values[first:], strict=True):
        parts.append((x, "", "") if isinstance(x, Rep) else shown(x, a.type, quoted=False))
    return make_text(*parts)


@special("print")
def print_(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    if not staging() or (at_top() and not any(isinstance(x, Rep) for x in values)):
        OUTPUT[-1](str(_text(node, values)))
        return give((), k)
    text = explained(node.span, _text, node, values)
    with current().at(node.span):
        explained(node.span, lambda: current().emit(p.control.print_, *operands_of([text]), template=template([text]), end="\n"))
    return give((), k)


OUTPUT: list[Callable[[str], None]] = [print]  # where what is printed now goes: the last


def at_top() -> bool:
    """Whether a statement at the top of a file is being run, and nothing of it has been left for later."""
    b = current()
    return b.program.main.name == TOP and len(getattr(b, "entered", ())) == 1 and not inside(b) and not b.block.nodes


TOP = "top"


@special("error")
def error(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    text = _text(node, values)
    if isinstance(text, str) and not (staging() and inside(current())):
        raise Diagnostic("E0506", text, node.span)
    b = current()
    with b.at(node.span):
        b.emit(p.control.check, b.const(False, bool_), *operands_of([text]), error="ValueError", message=template([text]))
    return dead(k, node.span)


@special("assert")
def assert_(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    ok = values[0]
    text = _text(node, values, 1) if len(values) > 1 else "assertion failed"
    if not isinstance(ok, Rep):
        if not ok:
            raise Diagnostic("E0506", str(text) if isinstance(text, str) else "assertion failed", node.span)
        return give((), k)
    b = current()
    with b.at(node.span):
        b.emit(p.control.check, ok.value, *operands_of([text]), error="AssertionError", message=template([text]))
    return give((), k)


# ------------------------------------------------------------------------------------------ reify, derivatives


@special("reify")
def reify(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    return give(staged_form(values[0], node.args[0].type, node.span), k)


class Derived:
    """`grad(f)`: a function whose calls are derivatives of calls of another."""

    def __init__(self, name: str, f: Callable[..., Any], type: AnyType) -> None:
        self.name, self.f, self.type = name, f, type

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        with current().at(span):
            return give(lend(inward(explained(span, self.f, *args)), CALLED, span), k)

    def __repr__(self) -> str:
        return f"<function {self.name}>"


def _wrapped(node: t.Special, f: Any) -> StagedFunction:
    form = staged_form(f, node.args[0].type, node.span)
    return form  # type: ignore[no-any-return]  # what staging takes for a staged function


@special("grad")
@special("value_and_grad")
@special("jacobian")
@special("hessian")
def derived(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    form = _wrapped(node, values[0])
    return give(Derived(f"{node.name}({form.name})", DERIVED[node.name](form, **node.options), prune(node.type)), k)


def _hessian(f: Any, argnums: Any) -> Any:
    return ad.jacobian(ad.grad(f, argnums), argnums)


DERIVED: dict[str, Callable[..., Any]] = {
    "grad": ad.grad, "value_and_grad": ad.value_and_grad, "jacobian": ad.jacobian, "hessian": _hessian}


@special("jvp")
@special("hvp")
def along(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    f, primals, tangents = values
    form = _wrapped(node, f)
    with current().at(node.span):
        found = explained(node.span, ad.jvp if node.name == "jvp" else ad.hvp, form, primals, outward_directions(tangents))
    return give(lend(inward(found), CALLED, node.span), k)


@special("vjp")
def vjp(node: t.Special, values: tuple[Any, ...], k: Frame) -> State:
    f, *primals = values
    form = _wrapped(node, f)
    with current().at(node.span):
        value, pull = explained(node.span, ad.vjp, form, *primals)
    pulled = Derived(f"pullback of {form.name}", lambda x: pull(outward_directions(x)), prune(node.type))
    return give((lend(inward(value), CALLED, node.span), pulled), k)
