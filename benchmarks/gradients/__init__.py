"""Gradients of GradBench's programs: against the programs themselves, hand-written C, JAX and PyTorch.

The programs and what is compared with are in ../gradbench, in_c.py, in_jax.py and in_torch.py. Before anything is timed, all
gradients are compared with ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..measure import Case
from . import in_c, in_jax, in_torch

TOLERANCE = 1e-8

# By eval: the size, its description, and the largest welcome ratio to each contender.
JOBS: dict[str, tuple[dict[str, Any], str, dict[str, float]]] = {
    "lstm": ({"layers": 4, "characters": 4096}, "l=4 c=4096", {"value only": 2.8, "jax scan": 0.2}),
    "gmm": ({"d": 64, "k": 25, "n": 1000}, "d=64 k=25 n=1000", {"value only": 4.0, "jax": 1.5}),
    "llsq": ({"n": 16392}, "n=16392", {"value only": 1.3}),
    "lse": ({"n": 1_280_000}, "n=1,280,000", {"value only": 1.2}),
    "ode": ({"n": 10_000, "s": 100}, "n=10,000 s=100", {"value only": 2.0}),
    "ba": ({"n": 161, "m": 48126, "p": 182072}, "the size of ADBench's third", {"value only": 8.0}),
    "particle": ({}, "w=0", {"C by hand": 2.0}),
    "saddle": ({}, "from (1, 1)", {"C by hand": 2.0}),
}
MODES = ("ff", "fr", "rf", "rr")
PEERS = (("C by hand", in_c), ("jax", in_jax), ("torch", in_torch))


def cases() -> Iterator[Case]:
    peers = {name: module.contenders() for name, module in PEERS}
    for name, (size, described, goals) in JOBS.items():
        module = importlib.import_module(f"..gradbench.{name}", __package__)
        functions = module.EVAL.functions
        nested = set(functions) == set(MODES)
        first, *rest = functions
        data = module.EVAL.smallest if nested else module.generate(**size)
        for derivative in MODES if nested else rest:
            arguments = functions[derivative].arguments(data)
            calls: dict[str, Callable[[], Any]] = {"lms": _call(functions[derivative].run, arguments)}
            if not nested:
                calls["value only"] = _call(functions[first].run, arguments)
            for peer, known in peers.items():
                for key, make in known.items():
                    eval_, _, more = key.partition(" ")
                    if eval_ == name and (not nested or more == derivative):
                        calls[peer if nested else f"{peer} {more}".strip()] = make(*arguments)
            for other, call in calls.items():
                if other != "value only":
                    _agree(f"{name}: {other}", calls["lms"](), call(), name == "ba")
            yield Case(f"{name} {derivative} {described}" if nested else f"{name} {described}", calls, goals)


def _call(run: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: run(*arguments)


def _agree(what: str, ours: Any, theirs: Any, sparse: bool) -> None:
    """Refuse to time what computes something else."""
    mine, other = _flat(ours), _flat(theirs)
    if sparse and mine.size != other.size:  # JAX gives the values only
        mine = _flat(ours[2])
    scale = float(np.max(np.abs(mine), initial=1e-300))
    far = float(np.max(np.abs(mine - other))) / scale
    assert far <= TOLERANCE, f"{what} is {far:.1e} away from ours"


def _flat(parts: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in (parts if isinstance(parts, tuple | list) else (parts,))]).astype(float)
