"""Bundle adjustment: how far cameras see points from where they were seen, and the sparse Jacobian of that."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64, i64

from .protocol import Eval, Function

CAMERA, POINT = 11, 3
ROW = CAMERA + POINT + 1


def rotate(by, x):
    """`x` turned about the axis `by`, through the angle that is its length (Rodrigues)."""
    square = np.sum(by * by)
    if square > 0.0:
        angle = np.sqrt(square)
        axis = by / angle
        return x * np.cos(angle) + np.cross(axis, x) * np.sin(angle) + axis * (np.sum(axis * x) * (1.0 - np.cos(angle)))
    return x + np.cross(by, x)


def residual(camera, point, weight, seen):
    """A camera has a rotation, a centre, a focal length, a principal point and two coefficients of distortion."""
    inside = rotate(camera[0:3], point - camera[3:6])
    flat = inside[:2] / inside[2]
    r2 = np.sum(flat * flat)
    bent = flat * (1.0 + camera[9] * r2 + camera[10] * r2 * r2)
    return weight * (bent * camera[6] + camera[7:9] - seen)


def far(weight):
    return 1.0 - weight * weight


@lms.stage
def objective(cameras: Rep[Array[f64, "n", 11]], points: Rep[Array[f64, "m", 3]], weights: Rep[Array[f64, "p"]],
              seen: Rep[Array[f64, "p", 2]], pairs: Rep[Array[i64, "p", 2]]):
    """The residual of each observation, and how far its weight is from one."""
    residuals = np.empty((len(weights), 2))
    for i in range(len(weights)):
        residuals[i] = residual(cameras[pairs[i, 0]], points[pairs[i, 1]], weights[i], seen[i])
    return residuals, far(weights)


@lms.stage
def jacobian(cameras: Rep[Array[f64, "n", 11]], points: Rep[Array[f64, "m", 3]], weights: Rep[Array[f64, "p"]],
             seen: Rep[Array[f64, "p", 2]], pairs: Rep[Array[i64, "p", 2]]):
    """Two rows for each observation, then one for each weight, compressed: where rows start, columns, values."""
    n, m, p = len(cameras), len(points), len(weights)
    starts = np.empty(3 * p + 1, dtype=np.int64)
    columns = np.empty(2 * ROW * p + p, dtype=np.int64)
    values = np.empty(2 * ROW * p + p)
    for i in range(p):
        camera, point = pairs[i, 0], pairs[i, 1]
        _, pullback = lms.vjp(residual, cameras[camera], points[point], weights[i], seen[i])
        for axis in range(2):
            by_camera, by_point, by_weight, _ = pullback(np.array([1.0 - axis, axis]))
            start = (2 * i + axis) * ROW
            starts[2 * i + axis] = start
            for k in range(CAMERA):
                columns[start + k] = CAMERA * camera + k
                values[start + k] = by_camera[k]
            for k in range(POINT):
                columns[start + CAMERA + k] = CAMERA * n + POINT * point + k
                values[start + CAMERA + k] = by_point[k]
            columns[start + ROW - 1] = CAMERA * n + POINT * m + i
            values[start + ROW - 1] = by_weight
    for i in range(p):
        starts[2 * p + i] = 2 * ROW * p + i
        columns[2 * ROW * p + i] = CAMERA * n + POINT * m + i
        values[2 * ROW * p + i] = lms.grad(far)(weights[i])
    starts[3 * p] = 2 * ROW * p + p
    return starts, columns, values


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    """The input is one camera, one point and one observation, to be repeated."""
    n, m, p = data["n"], data["m"], data["p"]
    pairs = np.stack([np.arange(p) % n, np.arange(p) % m], axis=1)
    return (np.tile(data["cam"], (n, 1)), np.tile(data["x"], (m, 1)), np.full(p, data["w"]), np.tile(data["feat"], (p, 1)),
            pairs)


def errors(result: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    residuals, distances = result
    return {"reproj_error": {"elements": residuals[0].tolist(), "repeated": len(residuals)},
            "w_err": {"element": float(distances[0]), "repeated": len(distances)}}


def first_and_last(result: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """The eval asks for the first observation's part, and the last element."""
    starts, columns, values = ([*part[:2 * ROW].tolist(), part[-1].item()] for part in result)
    return {"rows": starts, "cols": columns, "vals": values}


def generate(n: int, m: int, p: int, seed: int = 31337) -> dict[str, Any]:
    """One camera, and one point in front of it."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=3)
    camera = [*0.1 * rng.normal(size=3), *centre, 400.0, *rng.normal(size=2), 0.05, 0.002]
    point = centre + [*rng.normal(size=2), 5.0]
    return {"n": n, "m": m, "p": p, "cam": camera, "x": point.tolist(), "w": rng.random(), "feat": [20.0, -30.0]}


EVAL = Eval(
    {
        "objective": Function(arguments, objective, errors),
        "jacobian": Function(arguments, jacobian, first_and_last),
    },
    smallest=generate(2, 3, 4),
)
