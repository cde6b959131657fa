"""Complex numbers. The cotangent of `z = x + iy` is that of `x` plus i times that of `y`: the direction of steepest ascent.

This is PyTorch's convention; JAX's is the conjugate. An operation with a complex derivative f' then gives its operand the
cotangent times the conjugate of f': its rule for floats, between two conjugations. Linear ones need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.types import ArrayType, Scalar, Type

from ..continuations import RULES, Rule, Steps, derivative, resume, start
from .apply import dtype, emit, full, function, where

_s = p.scalar
real, imag, conj, complex_ = (function(op) for op in (_s.real, _s.imag, _s.conj, _s.complex_))


def is_complex(t: Type) -> bool:
    """Whether values of the type are complex numbers or arrays of them."""
    t = t.dtype if isinstance(t, ArrayType) else t
    return isinstance(t, Scalar) and t.is_complex


# ---------------------------------------------------------------------------------------- parts and wholes


@derivative(_s.real)
def _real(x: Any) -> Steps:
    dz = yield real(x)
    return (complex_(dz, full(dz, 0.0)) if dtype(x).is_complex else dz,)


@derivative(_s.imag)
def _imag(x: Any) -> Steps:
    dz = yield imag(x)
    return (complex_(full(dz, 0.0), dz) if dtype(x).is_complex else full(dz, 0.0),)


@derivative(_s.conj)
def _conj(x: Any) -> Steps:
    dz = yield conj(x)
    return (conj(dz),)


@derivative(_s.complex_)
def _complex(x: Any, y: Any) -> Steps:
    dz = yield complex_(x, y)
    return real(dz), imag(dz)


# --------------------------------------------------------------------------- where the rule for floats is not enough


def _modulus(x: Any) -> Steps:
    """The modulus: the cotangent points where `x` points; 0 at 0."""
    z = emit(_s.abs, x)
    dz = yield z
    return (direction(x, z) * emit(_s.convert, dz, dtype=dtype(x)),)


def direction(x: Any, modulus: Any) -> Any:
    """`x` over its modulus, 0 for 0."""
    return x / emit(_s.convert, where(modulus == 0.0, 1.0, modulus), dtype=dtype(x))


def _power(x: Any, y: Any) -> Steps:
    power, log = function(_s.pow), function(_s.log)
    z = power(x, y)
    dz = yield z
    flat = x == 0.0
    return where(y == 0.0, 0.0, dz * y * power(x, y - 1.0)), where(flat, 0.0, dz * z * log(where(flat, 1.0, x)))


# Operations with a complex derivative that is no constant.
HOLOMORPHIC = frozenset({_s.mul, _s.div, _s.pow, _s.sqrt, _s.exp, _s.log, _s.sin, _s.cos, p.array.contract, p.array.reduce_prod})


def partials_of(op: p.Primitive, types: Iterable[Type]) -> Rule | None:
    """The rule that hands back the partial derivatives of an operation, on operands of some types, for a cotangent of one."""
    return _power if op is _s.pow and any(map(is_complex, types)) else RULES.get(op)


def rule_of(op: p.Primitive, types: Sequence[Type]) -> Rule | None:
    """The rule of an operation on operands of some types."""
    if not any(map(is_complex, types)):
        return RULES.get(op)
    if op is _s.abs:
        return _modulus
    rule = partials_of(op, types)
    return _conjugated(rule, op.name) if rule is not None and op in HOLOMORPHIC else rule


def _conjugated(rule: Rule, name: str) -> Rule:
    def steps(*xs: Any, **attrs: Any) -> Steps:
        inner = rule(*xs, **attrs)
        dz = yield start(inner, name)
        return tuple(None if d is None else conj(d) for d in resume(inner, conj(dz), len(xs), name))

    return steps
