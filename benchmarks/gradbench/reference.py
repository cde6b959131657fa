"""What the evals should answer: their mathematics again, as plain NumPy on complex numbers, and derivatives by complex steps.

The derivative of an analytic f in direction v is the imaginary part of f(x + i h v) / h, exact to rounding for tiny h
(Squire and Trapp, SIAM Review 40, 1998). Small inputs are checked entry by entry, large ones in a few directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import multigammaln

TINY = 1e-100
SMALL, DIRECTIONS = 300, 3
VALUES = {"square", "objective", "primal"}

Curve = Callable[[np.ndarray], Any]
Problem = tuple[Curve, np.ndarray]  # a function of a vector, and where its derivative is asked for
Pairs = Iterator[tuple[Any, Any]]  # what was answered, and what is right


def hello(data: float) -> Problem:
    return lambda x: x[0] ** 2, np.array([data])


def llsq(data: dict[str, Any]) -> Problem:
    t = np.linspace(-1.0, 1.0, data["n"])
    powers = np.vander(t, len(data["x"]), increasing=True)
    return lambda x: 0.5 * np.sum((np.sign(t) - powers @ x) ** 2), np.array(data["x"])


def logsumexp(x: np.ndarray) -> Any:
    top = np.max(x.real, axis=-1)
    return top + np.log(np.sum(np.exp(x - top[..., None]), axis=-1))


def lse(data: dict[str, Any]) -> Problem:
    return logsumexp, np.array(data["x"])


def ode(data: dict[str, Any]) -> Problem:
    h = 2.0 / data["s"]

    def solve(x: np.ndarray) -> np.ndarray:
        def f(y: np.ndarray) -> np.ndarray:
            return x * np.concatenate([[1.0], y[:-1]])

        y = np.zeros_like(x)
        for _ in range(data["s"]):
            a = f(y)
            b = f(y + h / 2 * a)
            c = f(y + h / 2 * b)
            y = y + h / 6 * (a + 2 * b + 2 * c + f(y + h * c))
        return y

    return solve, np.array(data["x"])


def lstm(data: dict[str, Any]) -> Problem:
    main, extra = np.array(data["main_params"]), np.array(data["extra_params"])
    state, sequence = np.array(data["state"]), np.array(data["sequence"])
    layers, bits = len(main) // 2, sequence.shape[1]

    def loss(x: np.ndarray) -> Any:
        gates = x[:main.size].reshape(layers, 2, 4, bits)
        before, after, shift = x[main.size:].reshape(3, bits)
        hidden, cell = list(state[0::2]), list(state[1::2])
        total = 0.0
        for now, following in zip(sequence[:-1], sequence[1:], strict=True):
            out = now * before
            for k, (weight, bias) in enumerate(gates):
                forget, into, outof = (1 / (1 + np.exp(-(v * weight[j] + bias[j]))) for j, v in enumerate((out, hidden[k], out)))
                cell[k] = cell[k] * forget + into * np.tanh(hidden[k] * weight[3] + bias[3])
                hidden[k] = out = outof * np.tanh(cell[k])
            guess = out * after + shift
            total += following @ (guess - np.log(np.exp(guess).sum() + 2))
        return -total / ((len(sequence) - 1) * bits)

    return loss, np.concatenate([main.ravel(), extra.ravel()])


def gmm(data: dict[str, Any]) -> Problem:
    d, k, n, gamma, m = (data[name] for name in ("d", "k", "n", "gamma", "m"))
    points, freedom = np.array(data["x"]), d + m + 1
    columns, rows = np.triu_indices(d, 1)  # below the diagonal, column after column

    def posterior(x: np.ndarray) -> Any:
        alpha, means, icf = np.split(x, [k, k + k * d])
        total, logs = 0.0, []
        for weight, mean, part in zip(alpha, means.reshape(k, d), icf.reshape(k, -1), strict=True):
            triangle = np.diag(np.exp(part[:d]))
            triangle[rows, columns] = part[d:]
            logs.append(weight + part[:d].sum() - 0.5 * np.sum(((points - mean) @ triangle.T) ** 2, axis=1))
            total += m * part[:d].sum() - 0.5 * gamma ** 2 * np.sum(triangle ** 2)
        total += logsumexp(np.array(logs).T).sum() - n * logsumexp(alpha) - n * d / 2 * math.log(2 * math.pi)
        return total + k * (freedom * d * math.log(gamma / math.sqrt(2)) - multigammaln(freedom / 2, d))

    return posterior, np.concatenate([np.ravel(data["alpha"]), np.ravel(data["mu"]), np.hstack([data["q"], data["l"]]).ravel()])


def ba(data: dict[str, Any]) -> Problem:
    """One observation: two residuals and the error of the weight, by camera, point and weight."""
    def residuals(x: np.ndarray) -> np.ndarray:
        turn, centre, focal, middle, bend, point, weight = np.split(x, [3, 6, 7, 9, 11, 14])
        angle = np.sqrt(np.sum(turn ** 2))
        (a, b, c), s = turn / angle, np.sin(angle)
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        seen = (np.eye(3) + s * cross + (1 - np.cos(angle)) * cross @ cross) @ (point - centre)
        flat = seen[:2] / seen[2]
        r2 = np.sum(flat ** 2)
        flat = flat * (1 + bend[0] * r2 + bend[1] * r2 ** 2) * focal + middle
        return np.concatenate([weight * (flat - data["feat"]), 1 - weight ** 2])

    return residuals, np.array([*data["cam"], *data["x"], data["w"]])


PROBLEMS: dict[str, Callable[[Any], Problem]] = {
    "hello": hello, "llsq": llsq, "lse": lse, "ode": ode, "lstm": lstm, "gmm": gmm, "ba": ba,
}
# Siskind and Pearlmutter, "Putting the automatic back into AD" (2008): both programs, and what they print.
KNOWN = {"particle": 0.2071918746486116, "saddle": [8.246324826140356e-06] * 4}


def slope(f: Curve, x: np.ndarray, v: np.ndarray) -> Any:
    return np.imag(f(x + 1j * TINY * v)) / TINY


def distance(x: Any, y: Any) -> float:
    """The largest difference of two arrays, relative to what is larger than one (ADBench's measure)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or not np.isfinite(x).all():
        return math.inf
    return float(np.max(np.abs(x - y) / np.maximum(1.0, np.abs(x) + np.abs(y)), initial=0.0))


def error(name: str, function: str, data: Any, output: Any) -> float:
    """How far an answer is from right."""
    return max(distance(*pair) for pair in _compared(name, function, data, output))


def _compared(name: str, function: str, data: Any, output: Any) -> Pairs:
    if name in KNOWN:
        yield output, KNOWN[name]
        return
    f, x = PROBLEMS[name](data)
    if name == "ba":
        yield from _observation(f, x, function, data, output)
    elif function in VALUES:
        yield output, f(x)
    elif np.size(output) != len(x):
        yield np.ravel(output), x
    elif len(x) <= SMALL:
        yield np.ravel(output), np.array([np.ravel(slope(f, x, v))[-1] for v in np.eye(len(x))])
    else:
        rng = np.random.default_rng(1)
        for _ in range(DIRECTIONS):
            v = rng.normal(size=len(x))
            yield np.dot(output, v), np.ravel(slope(f, x, v))[-1]


def _observation(f: Curve, x: np.ndarray, function: str, data: Any, output: Any) -> Pairs:
    n, m, p = data["n"], data["m"], data["p"]
    if function in VALUES:
        *residuals, far = f(x)
        yield [output["reproj_error"]["repeated"], output["w_err"]["repeated"]], [p, p]
        yield output["reproj_error"]["elements"], residuals
        yield output["w_err"]["element"], far
        return
    by_all = np.array([slope(f, x, v) for v in np.eye(len(x))]).T
    columns = [*range(11), *(11 * n + np.arange(3)), 11 * n + 3 * m]
    yield output["vals"], [*by_all[0], *by_all[1], by_all[2, -1]]
    yield output["cols"], [*columns, *columns, 11 * n + 3 * m + p - 1]
    yield output["rows"], [*(15 * np.arange(30)), 31 * p]
