"""The examples print what they printed, and mean what they say."""

from __future__ import annotations

import itertools
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lms

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / name))


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_output(name: str, golden: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    golden(capsys.readouterr().out.replace(str(EXAMPLES), "examples"))


def test_power_is_right() -> None:
    power = load("power.py")["power"]
    for n in range(12):
        assert power(1.5, n) == pytest.approx(1.5**n, rel=1e-15)
        assert lms.grad(power)(1.5, n) == pytest.approx(n * 1.5 ** (n - 1), rel=1e-14)


def test_ackermann_is_right() -> None:
    ackermann = load("ackermann.py")["ackermann"]
    closed = {0: lambda n: n + 1, 1: lambda n: n + 2, 2: lambda n: 2 * n + 3, 3: lambda n: 2 ** (n + 3) - 3}
    for m, n in itertools.product(range(4), range(5)):
        assert ackermann(m, n) == closed[m](n)


@pytest.mark.parametrize("pattern", ["a", "^a", "a$", "^a*b$", "a.c", "^.*b", "b*", "^$", "x*y*z"])
def test_the_matcher_agrees_with_re(pattern: str) -> None:
    example = load("regex.py")
    matches, text = example["matches"], example["text"]
    for s in ("", "a", "b", "ab", "aab", "ba", "abc", "aXc", "xyz", "zzz", "cab"):
        assert matches(pattern, text(s)) == bool(re.search(pattern, s)), s


def test_the_sparse_product_is_right() -> None:
    example = load("sparse.py")
    v = np.array([2.0, -1.0, 0.5, 3.0, 4.0])
    np.testing.assert_allclose(example["product"](example["MATRIX"], v), np.array(example["MATRIX"]) @ v)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_the_codelets_are_fourier_transforms(n: int) -> None:
    rng = np.random.default_rng(n)
    re_, im = rng.normal(size=(2, n))
    real, imaginary = load("fft.py")["fft"](re_, im, n)
    np.testing.assert_allclose(real + 1j * imaginary, np.fft.fft(re_ + 1j * im), atol=1e-13)


def test_a_network_learns_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EXAMPLES / "digits"
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    train = runpy.run_path(str(folder / "train.py"))["train"]
    _, losses, held_out, _, _ = train(0, 40)
    assert losses[-1] < 0.05 * losses[0]
    assert held_out >= 0.95
