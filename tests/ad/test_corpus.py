"""Every program of the corpus: its value is plain Python's, its gradient what differences say, in both modes and at order two."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import lms
from tests.ad import corpus
from tests.ad.corpus import NAMES, Entry

SAMPLE = {"bouncing_ball", "dijkstra", "heat", "stack_machine"}  # of those that take longer: a `while`, tables, stores, jumps

program = pytest.mark.parametrize("name", NAMES)
sampled = pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow(sample=n in SAMPLE)) for n in NAMES])


@functools.cache
def entry(name: str) -> Entry:
    return corpus.load(name)


def close(found: object, expected: object, tolerance: float) -> None:
    """Relative to the norm of what is expected."""
    assert np.all(np.isfinite(expected))
    assert np.linalg.norm(np.subtract(found, expected)) <= tolerance * np.linalg.norm(expected), f"{found} for {expected}"


def test_the_corpus_is_forty_programs_and_more() -> None:
    assert len(NAMES) >= 40


@program
def test_gradient(name: str) -> None:
    e = entry(name)
    args = e.at(e.here)
    expected = e.plain(e.here)
    assert isinstance(e.program(*args), float)
    assert abs(e.program(*args) - expected) <= e.ulps * np.spacing(abs(expected))

    value, gradient = e.gradient(*args)
    gradient = e.numbers(gradient)
    assert abs(value - expected) <= e.ulps * np.spacing(abs(expected))
    close(gradient, corpus.by_differences(e), 1e-6)
    if e.analytic:
        close(gradient, corpus.by_complex_step(e), 1e-11)

    forward = [lms.jvp(e.program, args, e.along(axis))[1] for axis in corpus.axes(len(e.here))]
    close(gradient, forward, 1e-9)


@sampled
def test_second_derivative(name: str) -> None:
    """The Hessian times a direction, forward over reverse, against differences of the gradient."""
    e = entry(name)
    direction = np.random.default_rng(0).normal(size=len(e.here))
    _, curved = lms.jvp(e.gradient, e.at(e.here), e.along(direction))[1]
    found = e.numbers(curved)

    def slope(h: float) -> object:
        return e.numbers(e.gradient(*e.at(e.here + h * direction))[1])

    close(found, corpus.richardson(slope, e.step), 1e-5)
