"""The programs of the language, and their gradients: the same numbers by the interpreter, Python, native code and C."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lms
from lms.backends import c
from lms.core.primitives.control import ERRORS
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, Size, SumType, Type, f64
from lms.specialization import Options, Specialization
from tests.backends.test_c import close
from tests.support.c import LEFT, Batch, needs_compiler, shared_folder

FOLDER = Path(__file__).parents[2] / "examples" / "lms"
BACKENDS = ("python", "llvm", "c")
SIZE, DEEP = 4, 3
EXPORTED = re.compile(r"^export def (\w+)", re.MULTILINE)
NAMES = [f"{path.stem}.{name}" for path in sorted(FOLDER.glob("*.lms")) for name in EXPORTED.findall(path.read_text("utf-8"))]


@cache
def programs() -> dict[str, Specialization]:
    """Every export of every example, and the gradient of those that have one number for a result."""
    found = {}
    for path in sorted(FOLDER.glob("*.lms")):
        module = lms.load(path)
        for name in module.__all__:
            f = getattr(module, name)
            s = found[f"{path.stem}.{name}"] = f.specialize()
            main = s.staged.main
            floats = any(isinstance(v.type, Scalar | ArrayType) and v.type in (f64, ArrayType(f64, getattr(v.type, "dims", ())))
                         for v in main.body.params[:1])
            if floats and [v.type for v in main.body.results] == [f64] and not s.differentiates:
                found[f"grad {path.stem}.{name}"] = lms.grad(f).specialize()
    return found


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    made = Batch(shared_folder(tmp_path_factory))
    for s in programs().values():
        made.add(s.program)
    return made


def leaf(t: Type, rng: np.random.Generator, depth: int = 0) -> Any:
    """A value of a type: small numbers, axes of one length, trees that end."""
    if isinstance(t, Scalar):
        if t.is_float:
            return t.dtype.type(rng.uniform(0.5, 1.5))
        return t.dtype.type(rng.integers(1, 4) if t.is_int else rng.random() < 0.5)
    if isinstance(t, ArrayType):
        shape = tuple(map(extent, t.dims))
        numbers = rng.uniform(0.5, 1.5, shape) if isinstance(t.dtype, Scalar) and t.dtype.is_float else rng.integers(0, 3, shape)
        assert isinstance(t.dtype, Scalar)
        return numbers.astype(t.dtype.dtype)
    assert isinstance(t, SumType)
    ends = [k for k, each in enumerate(t.constructors) if not any(isinstance(f, SumType) for _, f in each.fields)]
    tag = int(rng.choice(ends if depth >= DEEP else range(len(t.constructors))))
    return Record(t, tag, tuple(leaf(f, rng, depth + 1) for _, f in t.constructors[tag].fields))


def extent(d: Size) -> int:
    return d if isinstance(d, int) else d.const + sum(k * SIZE for _, k in d.terms)


def outcome(s: Specialization, leaves: list[Any]) -> Any:
    """What a program gives, or which error, and what is left in its arguments."""
    given = [x.copy() if isinstance(x, np.ndarray) else x for x in leaves]
    try:
        return [np.asarray(x) if not isinstance(x, Record) else x for x in s.run(given)], given
    except tuple(ERRORS.values()) as e:
        return next(kind for kind in ERRORS.values() if isinstance(e, kind)), given


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
def test_everywhere_the_same(name: str, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value, and its gradient where it gives one number."""
    monkeypatch.setattr(c, "compile", batch.of)
    for key in {name, f"grad {name}"} & programs().keys():
        agree_everywhere(programs()[key])


def agree_everywhere(s: Specialization) -> None:
    again = {b: Specialization(s.traced, Options(b)) for b in (*BACKENDS, "interpret")}
    again["c"].program = s.program
    for seed in range(2):
        rng = np.random.default_rng(seed)
        leaves = [leaf(v.type, rng) for v in s.staged.main.body.params]
        LEFT.clear()
        expected, left = outcome(again["interpret"], leaves)
        for b in BACKENDS:
            found, after = outcome(again[b], leaves)
            if isinstance(expected, type) or isinstance(found, type):
                assert found is expected, f"{b}: {found}, expected {expected}"
                continue
            for x, y in zip([*found, *after], [*expected, *left], strict=True):
                assert same(x, y), f"{b}: {x!r} is not {y!r}"
        assert not LEFT


def same(x: Any, y: Any) -> bool:
    if isinstance(y, Record):
        return isinstance(x, Record) and x.tag == y.tag and all(map(same, x.fields, y.fields))
    return close(np.asarray(x), np.asarray(y), 0.0) or bool(
        np.asarray(y).dtype.kind == "f" and np.linalg.norm(np.subtract(x, y)) <= 1e-11 * max(np.linalg.norm(y), 1e-3))
