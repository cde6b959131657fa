"""The logarithm of the posterior density of a Gaussian mixture with a Wishart prior."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import multigammaln

import lms
from lms import Array, Rep, f64

from .protocol import Eval, Function


def factor(q, below):
    """The lower triangular factor of a precision: exp(q) on the diagonal, and the columns below it one after another."""
    d = len(q)
    L = np.zeros((d, d))
    at = 0
    for column in range(d):
        L[column, column] = np.exp(q[column])
        for row in range(column + 1, d):
            L[row, column] = below[at]
            at += 1
    return L


def logsumexp(x):
    largest = np.max(x)
    return largest + np.log(np.sum(np.exp(x - largest)))


@lms.stage
def objective(alpha: Rep[Array[f64, "k"]], means: Rep[Array[f64, "k", "d"]], icf: Rep[Array[f64, "k", "t"]],
              x: Rep[Array[f64, "n", "d"]], gamma: Rep[f64], m: Rep[f64]) -> Rep[f64]:
    n, d = x.shape
    k = len(alpha)
    logs = np.empty((n, k))
    prior = 0.0
    for j in range(k):
        q, below = icf[j, :d], icf[j, d:]
        y = (x - means[j]) @ factor(q, below).T
        logs[:, j] = alpha[j] + np.sum(q) - 0.5 * np.sum(y * y, axis=1)
        prior += 0.5 * gamma * gamma * (np.sum(np.exp(q) ** 2) + np.sum(below ** 2)) - m * np.sum(q)
    total = 0.0
    for i in range(n):
        total += logsumexp(logs[i])
    return total - n * logsumexp(alpha) - prior


def constant(n: int, d: int, k: int, gamma: float, m: int) -> float:
    """What the logarithm has besides: it depends on no parameter."""
    freedom = d + m + 1
    return (-n * d * 0.5 * math.log(2 * math.pi)
            + k * (freedom * d * math.log(gamma / math.sqrt(2)) - float(multigammaln(0.5 * freedom, d))))


def posterior(alpha, means, icf, x, gamma, m) -> float:
    return objective(alpha, means, icf, x, gamma, m) + constant(*x.shape, len(alpha), gamma, m)


gradients = lms.grad(objective, argnums=("alpha", "means", "icf"))


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    icf = data["icf"] if "icf" in data else np.hstack([data["q"], data["l"]])
    means = data["means"] if "means" in data else data["mu"]
    return np.array(data["alpha"]), np.array(means), np.array(icf), np.array(data["x"]), float(data["gamma"]), data["m"]


def flat(gradient: tuple[np.ndarray, ...]) -> list[float]:
    return np.concatenate([part.ravel() for part in gradient]).tolist()


def generate(d: int, k: int, n: int = 1000, seed: int = 31337) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"d": d, "k": k, "n": n, "x": rng.normal(size=(n, d)).tolist(), "m": 0, "gamma": 1.0,
            "mu": rng.uniform(size=(k, d)).tolist(), "q": rng.normal(size=(k, d)).tolist(),
            "l": rng.normal(size=(k, d * (d - 1) // 2)).tolist(), "alpha": rng.normal(size=k).tolist()}


EVAL = Eval(
    {
        "objective": Function(arguments, posterior, float),
        "jacobian": Function(arguments, gradients, flat),
    },
    smallest=generate(2, 2, 3),
)
