"""The programs in .lms: what they print, the C they become, and the same numbers from every back end, gradients too."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lms

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "lms"
FILES = sorted(path.stem for path in EXAMPLES.glob("*.lms"))
rng = np.random.default_rng(7)


def text(s: str) -> np.ndarray:
    return np.frombuffer(s.encode(), np.uint8).copy()


def tree(depth: int, module: ModuleType) -> Any:
    return module.Leaf(depth % 3) if depth == 0 else module.Node(tree(depth - 1, module), module.Leaf(depth % 3))


POINTS, LABELS = rng.normal(size=(20, 3)), (rng.normal(size=20) > 0) * 1.0
CELL = rng.normal(size=(3, 4)), rng.normal(size=(5, 4, 4)) / 4, rng.normal(size=(5, 4, 4)) / 4, rng.normal(size=(5, 4))

# For each file, calls of its exports; `Mut` arguments are compared as well. A module is given to make trees with.
CALLS: dict[str, Callable[[ModuleType], list[tuple[str, tuple[Any, ...]]]]] = {
    "amb": lambda m: [("triples", (np.arange(20.0),))],
    "evaluator": lambda m: [("compiled", (1.5,))],
    "fft": lambda m: [(f"fft{n}", (np.arange(n) * 1.0, np.sin(np.arange(n)), np.zeros(n), np.zeros(n))) for n in (4, 8, 16)],
    "kalman": lambda m: [(f, (0.1, 0.2, np.sin(np.arange(12.0)), 0.1)) for f in ("likelihood", "gradient")],
    "kmeans": lambda m: [("kmeans", (POINTS, POINTS[:4].copy(), 5))],
    "logistic": lambda m: [("loss", (np.ones(3), POINTS, LABELS)), ("gradient", (np.ones(3), POINTS, LABELS)),
                           ("fit", (POINTS, LABELS, 0.5, 20))],
    "nfa": lambda m: [("finds", (text(s),)) for s in ("", "AAB", "BAAABC", "ABAACB")],
    "ode": lambda m: [(f, (1.0, 0.0, 1.0, 3.0)) for f in ("position", "sensitivity")],
    "regex": lambda m: [("matches", (text(s),)) for s in ("", "ac", "xabbc", "abcd")],
    "sparse": lambda m: [("times", (np.arange(5.0), np.zeros(5)))],
    "treelstm": lambda m: [(f, (tree(6, m), *CELL)) for f in ("score", "gradient")],
}
# Exports with a gradient, and the arguments it is by.
GRADIENTS = {("amb", "triples"): 0, ("evaluator", "compiled"): 0, ("kalman", "likelihood"): (0, 1, 2), ("kmeans", "kmeans"): 0,
             ("logistic", "loss"): (0, 1), ("ode", "position"): (0, 2), ("treelstm", "score"): (1, 2, 3, 4)}


def load(name: str, backend: str) -> ModuleType:
    if backend == "c" and not shutil.which("cc"):
        pytest.skip("no C compiler")
    return lms.load(EXAMPLES / f"{name}.lms", backend=backend)


def outcome(f: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """The result, and what became of the arguments that are arrays."""
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    return [f(*given), *(a for a in given if isinstance(a, np.ndarray))]


def agree(one: Any, other: Any) -> None:
    if isinstance(one, tuple | list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            agree(a, b)
    elif one is not None or other is not None:
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", ["llvm", "python", "c"])
@pytest.mark.parametrize("name", CALLS)
def test_back_ends_agree(name: str, backend: str) -> None:
    reference, module = load(name, "interpret"), load(name, backend)
    for (export, args), (_, same) in zip(CALLS[name](reference), CALLS[name](module), strict=True):
        functions = getattr(reference, export), getattr(module, export)
        agree(outcome(functions[0], args), outcome(functions[1], same))
        if (name, export) in GRADIENTS:
            gradients = [lms.grad(f, GRADIENTS[name, export]) for f in functions]
            agree(outcome(gradients[0], args), outcome(gradients[1], same))


@pytest.mark.parametrize(("name", "export"), GRADIENTS)
def test_gradients(name: str, export: str) -> None:
    module = load(name, "llvm")
    args = next(args for f, args in CALLS[name](module) if f == export)
    f = getattr(module, export)
    if name == "treelstm":  # its words are numbers of now
        lms.check_grads(lambda *xs: f(args[0], *xs), args[1:], order=1)
    else:
        lms.check_grads(f, args, order=1)


def test_every_file_is_called() -> None:
    assert set(CALLS) | {"ackermann", "backprop", "gradients", "power"} >= set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name != "backprop"])  # which exports nothing
def test_c(name: str, golden: Callable[[str], None]) -> None:
    """In a process of its own, since types of the same name in several files are told apart by numbers."""
    command = [sys.executable, "-m", "lms", "compile", str(EXAMPLES / f"{name}.lms"), "--emit", "c"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    golden(text.replace(str(EXAMPLES), "examples/lms"))


# ------------------------------------------------------------------------------------------------ what they mean


@pytest.mark.parametrize("n", [4, 8, 16])
def test_the_codelets_are_fourier_transforms(n: int) -> None:
    x, re, im = rng.normal(size=n) + 1j * rng.normal(size=n), np.zeros(n), np.zeros(n)
    getattr(load("fft", "llvm"), f"fft{n}")(x.real.copy(), x.imag.copy(), re, im)
    np.testing.assert_allclose(re + 1j * im, np.fft.fft(x), atol=1e-14)


def test_the_automaton_finds_its_pattern() -> None:
    finds = load("nfa", "llvm").finds
    for letters in itertools.product("ABC", repeat=5):
        s = "".join(letters)
        assert finds(text(s)) == ("AAB" in s), s


def test_the_filter_is_the_textbooks() -> None:
    """Against the same filter in matrices."""
    q, r, dt, seen = 0.3, 0.2, 0.1, rng.normal(size=15)
    f, noise = np.array([[1, dt], [0, 1]]), q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    x, p, total = np.zeros(2), np.eye(2), 0.0
    for z in seen:
        x, p = f @ x, f @ p @ f.T + noise
        s, residual = p[0, 0] + r, z - x[0]
        total -= 0.5 * (math.log(2 * math.pi * s) + residual**2 / s)
        k = p[:, 0] / s
        x, p = x + k * residual, p - np.outer(k, p[0])
    assert load("kalman", "llvm").likelihood(q, r, seen, dt) == pytest.approx(total, rel=1e-12)


def test_pruned_while_compiling() -> None:
    """Of 6,859 choices 5 are left in the program."""
    triples = load("amb", "llvm").triples
    assert triples.specialize(np.ones(20)).ir.count("mul") == 10
