"""`lms.check_grads`: right derivatives pass, wrong ones are told apart."""

import numpy as np
import pytest

import lms
from lms import Rep, i64


def steps(x, n: Rep[i64]):
    s = x
    for _ in range(n):
        s = np.sin(s) * x
    return s, {"scaled": s * x, "count": n}


@lms.stage
def cube(x):
    return x**3


@lms.derivative(cube)
def _cube(x):
    dz = yield cube(x)
    return dz * 2 * x * x  # wrong on purpose


def test_right() -> None:
    lms.check_grads(lambda x: x**3, (2.0,), order=3)
    lms.check_grads(steps, (1.2, 5), order=2)
    lms.check_grads(lambda p, x: np.sum(np.tanh(x @ p["w"]) ** 2), ({"w": np.ones((2, 3)), "n": 3}, np.array([0.3, 0.4])))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_wrong(mode: str) -> None:
    with pytest.raises(AssertionError, match=f"cube: .*{mode} mode"):
        lms.check_grads(cube, (2.0,), modes=(mode,))


def test_arguments_are_left_alone() -> None:
    x = np.array([1.0, 2.0])
    lms.check_grads(lambda x: np.sum(x * x), (x,))
    np.testing.assert_array_equal(x, [1.0, 2.0])
