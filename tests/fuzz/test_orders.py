"""Second derivatives of generated programs: forward and reverse mode in all four nestings, against the tape; Jacobians.

Compiled with no pass at all and with all of them, with sizes and ints known later and known now: the same numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, note

import lms
from lms.ad.differentiate import Differentiate
from lms.backends import llvm
from lms.passes.base import run
from lms.passes.clone import clone
from lms.passes.lower import Lower
from tests.fuzz.programs import programs
from tests.fuzz.test_programs import close, folder, fuzz, load
from tests.fuzz.worlds import Derived, Program, derive, plain, same_path

__all__ = ["folder"]
pytestmark = [pytest.mark.fuzz(sample=True), pytest.mark.timeout(0)]

NESTINGS = ("ff", "fr", "rf", "rr")


def nested(program: Program) -> Program:
    """The program with its first derivatives in a direction beside it, by both modes, and the second by all nestings."""
    names = [name for name, _ in program.params]
    given, whole = ", ".join(f"{name}: {annotation}" for name, annotation in program.params), ", ".join(names)
    active = [names[i] for i in program.active]
    along = ", ".join(f"d_{name}" if name in active else "None" for name in names)
    inner = " + ".join(f"np.sum(g[{k}] * d_{name})" for k, name in enumerate(active))
    text = f"""
def slope_f({given}):
    return lms.jvp(f, ({whole},), ({along},))[1]

def slope_r({given}):
    g = lms.grad(f, {program.active})({whole})
    return {inner}

def ff({given}):
    return lms.jvp(slope_f, ({whole},), ({along.replace("d_", "e_")},))[1]

def rf({given}):
    return lms.grad(slope_f, {program.active})({whole})

def rr({given}):
    return lms.grad(slope_r, {program.active})({whole})

def fr({given}):
    return lms.jvp(lms.grad(f, {program.active}), ({whole},), ({along},))[1]

def hessian({given}):
    return lms.jacobian(lms.grad(f, {program.active}), {program.active})({whole})
"""
    return dataclasses.replace(program, text=program.text + text)


def specialised(program: Program) -> Program:
    """The program where the int and the sizes of `f` are known now."""
    _, x, k, *rest = program.arguments()
    sizes = {"n": len(x)} | ({"m": rest[-1].shape[1]} if rest and rest[-1].ndim == 2 else {})
    head = re.search(r"def f\(.*\):", program.text)
    assert head
    known = re.sub(r'"([nm])"', lambda m: str(sizes[m[1]]), head[0].replace("k: Rep[i64]", "k: int"))
    params = [(name, "int" if name == "k" else re.sub(r'"([nm])"', lambda m: str(sizes[m[1]]), annotation))
              for name, annotation in program.params]
    return dataclasses.replace(program, text=program.text.replace(head[0], known), params=tuple(params))


def interpreted(f: Any, arguments: list[Any]) -> Any:
    return lms.stage(backend="interpret")(f)(*arguments)


def optimised(f: Any, arguments: list[Any]) -> Any:
    return lms.stage(f)(*arguments)


def barely_lowered(f: Any, arguments: list[Any]) -> Any:
    """Without a pass, and without LLVM's."""
    staged = lms.stage(f)
    s, leaves = staged.specialize(*arguments), staged.signature.bind(arguments, {}).values
    program = run([Differentiate(), Lower()], clone(s.staged))
    out = llvm.compile(program, opt=0)(*leaves, *(h.now() for h in s.traced.hidden))
    return s.traced.rebuild(out if isinstance(out, tuple) else (out,))


WAYS: list[Callable[[Any, list[Any]], Any]] = [interpreted, optimised, barely_lowered]


def differentiable(program: Program) -> Derived:
    """The program's derivatives by the tape, if its path stays when inputs move."""
    derived = derive(program)
    assume(derived.bounded and not derived.tie and all(np.abs(b).max(initial=0.0) < 1e6 for b in derived.bent))
    assume(same_path(program, derived))
    return derived


def second(program: Program, derived: Derived) -> tuple[list[np.ndarray], float, float]:
    """The Hessian times the direction, that times another direction, and how large the numbers are that make them."""
    (seed,) = derived.seeds
    row = [b / seed[0] for b in derived.bent]
    turned = sum(float(np.sum(b * e)) for b, e in zip(row, program.directions(3), strict=True))
    largest = max(np.abs(c).max(initial=0.0) for c in [*derived.cotangents, *derived.bent])
    return row, turned, 1.0 + float(largest)


@fuzz(3)
@given(program=programs(smooth=True, single=True))
def test_all_nestings_agree(program: Program, folder: Path) -> None:
    derived = differentiable(program)
    row, turned, largest = second(program, derived)
    left = plain(program).arguments
    for form, ways in ((program, WAYS), (specialised(program), [barely_lowered, optimised])):
        module = load(nested(form), folder, whole=True)
        for (kind, directions) in (("d", program.directions(2)), ("e", program.directions(3))):
            for i, direction in zip(program.active, directions, strict=True):
                setattr(module, f"{kind}_{program.params[i][0]}", direction)
        for nesting in NESTINGS:
            wanted = [turned] if nesting == "ff" else row
            for way in ways:
                arguments = program.arguments()
                found = way(getattr(module, nesting), arguments)
                note(f"{nesting}, {way.__name__}: {found}\ntape: {wanted}")
                found = [found] if nesting == "ff" else [g for g in found if g is not None]
                assert all(np.shape(a) == np.shape(b) and (np.abs(np.asarray(a) - b) <= 1e-9 * largest).all()
                           for a, b in zip(found, wanted, strict=True))
                assert close(arguments, left), "an argument is left otherwise than by the program"


@fuzz(1)
@given(program=programs(smooth=True, single=True))
def test_hessians_agree(program: Program, folder: Path) -> None:
    derived = differentiable(program)
    row, _, largest = second(program, derived)
    found = optimised(load(nested(program), folder, whole=True).hessian, program.arguments())
    note(f"{found}\ntape: {row}")
    turned = [sum(np.tensordot(block, d, np.ndim(d)) for block, d in zip(blocks, derived.directions, strict=True))
              for blocks in found]
    assert all((np.abs(np.asarray(a) - b) <= 1e-9 * largest).all() for a, b in zip(turned, row, strict=True))


@fuzz(3)
@given(program=programs(smooth=True))
def test_jacobians_agree(program: Program, folder: Path) -> None:
    """In lanes or row by row, what the cotangents of the results make of them is the tape's gradient."""
    derived = differentiable(program)
    f, left = load(program, folder), plain(program).arguments
    for way in (barely_lowered, optimised):
        arguments = program.arguments()
        found = way(lms.jacobian(f, program.active), arguments)
        note(f"{way.__name__}: {found}\ntape: {derived.cotangents}")
        rows = found if program.results > 1 else [found]
        pulled = [sum(np.tensordot(s if np.ndim(block) > np.ndim(c) else s[0], block, np.ndim(block) - np.ndim(c))
                      for s, block in zip(derived.seeds, blocks, strict=True))
                  for c, blocks in zip(derived.cotangents, zip(*rows, strict=True), strict=True)]
        assert close(pulled, derived.cotangents)
        assert close(arguments, left)


@fuzz(2)
@given(program=programs(smooth=True))
def test_sparse_jacobians_agree(program: Program, folder: Path) -> None:
    derived = differentiable(program)
    f, arguments = load(program, folder), program.arguments()
    found = lms.sparse_jacobian(f, program.active)(*arguments)
    note(f"{found.toarray()}\ntape: {derived.cotangents}")
    pulled = np.concatenate(derived.seeds) @ found
    assert close([pulled], [np.concatenate([np.ravel(c) for c in derived.cotangents])])
    assert close(arguments, plain(program).arguments)
