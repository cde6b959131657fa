"""`lms.check_grads`: right derivatives pass, wrong ones are told apart."""

import inspect

import numpy as np
import pytest

import lms
from lms import Rep, analytic, i64
from lms.derivatives import as_staged


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


@lms.stage
def weighted(x, w):
    return x * w**2


@lms.derivative(weighted)
def _weighted(x, w):
    dz = yield weighted(x, w)
    return dz * w**2, dz * x * w  # the second should be twice that


def model(p, x):
    s = 0.0
    for i in range(len(x)):
        s += weighted(np.sin(x[i]), p["w"][i]) * p["scale"]
    return s


def test_which_argument_and_which_line() -> None:
    """The element that is furthest off, the rule, and where it was called."""
    p = {"scale": 2.0, "w": np.array([0.5, 1.5, 1.0])}
    with pytest.raises(AssertionError) as caught:
        lms.check_grads(model, (p, np.array([0.3, 1.2, 0.4])))
    message = str(caught.value)
    line = inspect.getsourcelines(model)[1] + 3
    assert "by p['w'][1] it is 2.79" in message and "by differences 5.59" in message
    assert f"the rule of weighted for reverse mode, called at {__file__}:{line}, gives" in message
    assert "by p['scale']" not in message and "by x" not in message


def test_a_wrong_forward_rule() -> None:
    @lms.stage
    def double(x):
        return 2.0 * x

    @lms.derivative(double)
    def _reverse(x):
        dz = yield double(x)
        return 2.0 * dz

    @lms.derivative(double, mode="forward")
    def _forward(primals, tangents):
        return double(*primals), 3.0 * tangents[0]

    lms.check_grads(lambda x: double(x) ** 2, (1.5,), modes=("reverse",), order=1)
    with pytest.raises(AssertionError, match="the rule of double for forward mode, called at"):
        lms.check_grads(lambda x: double(x) ** 2, (1.5,), modes=("forward",), order=1)


def test_a_small_error_in_an_analytic_function() -> None:
    """A complex step sees what differences do not."""
    @lms.stage
    def nearly(x):
        return x**3

    @lms.derivative(nearly)
    def _nearly(x):
        dz = yield nearly(x)
        return dz * 3 * x * x * (1 + 1e-7)

    with pytest.raises(AssertionError, match="nearly"):
        lms.check_grads(nearly, (2.0,), order=1)


ANALYTIC = [lambda x: np.sum(np.tanh(x) * np.exp(x) / (1 + x * x)), lambda x: np.cumsum(np.sin(x))[1:] ** 2.5 + np.prod(x),
            lambda x: np.sqrt(x @ x) + np.log1p(x[0]) * np.arctan(x[1]) + np.expm1(x[2])]


@pytest.mark.parametrize("f", ANALYTIC)
def test_a_complex_step_is_exact(f) -> None:
    x, d = np.array([0.3, 0.4, 0.7]), np.array([1.0, -0.5, 0.2])
    program = as_staged(f).specialize(x).simplified()
    assert analytic.is_analytic(program)
    values, slopes = analytic.along(program, [x], [d])
    value, slope = lms.jvp(f, (x,), (d,))
    np.testing.assert_allclose(values[0], value, rtol=1e-14)
    np.testing.assert_allclose(slopes[0], slope, rtol=1e-13)


KINKS = [lambda x: abs(x), lambda x: x if x > 0 else 2 * x, lambda x: np.maximum(x, 0.5), lambda x: x * int(x)]


@pytest.mark.parametrize("f", KINKS)
def test_what_is_not_analytic(f) -> None:
    assert not analytic.is_analytic(as_staged(f).specialize(1.5).simplified())
    lms.check_grads(f, (1.5,))


def test_complex_arguments() -> None:
    lms.check_grads(lambda z, x: abs(np.exp(z) * x) ** 2 + z.real, (0.3 + 0.4j, 1.5))
    lms.check_grads(lambda z: z * z, (np.array([0.3 + 0.4j, 1j]),))

    @lms.stage
    def energy(z):
        return (z * np.conj(z)).real

    @lms.derivative(energy)
    def _energy(z):
        dz = yield energy(z)
        return dz * 2 * np.conj(z)  # the other convention

    with pytest.raises(AssertionError, match="by z it is"):
        lms.check_grads(energy, (0.3 + 0.4j,), order=1)


def test_outside_the_domain() -> None:
    """Where the function is not a number, so are its derivatives: nothing to compare, and no complex numbers instead."""
    lms.check_grads(lms.stage(lambda x, y: np.sqrt(x) * y), (-1.0, 2.0), order=1)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: lms.check_grads(lambda n: n * n, (3,)), "the arguments of <lambda> hold no float"),
    (lambda: lms.check_grads(lambda: 3.0, ()), "the arguments of <lambda> hold no float"),
    (lambda: lms.check_grads(lambda x: 3, (2.0,)), "<lambda> gives no float"),
    (lambda: lms.check_grads(lambda x: None, (2.0,)), "<lambda> gives no float"),
    (lambda: lms.check_grads(3, (2.0,)), "a function is differentiated, found 3"),
    (lambda: lms.check_grads(lambda x: x, 2.0), "takes the arguments in a tuple, found the float 2.0"),
    (lambda: lms.check_grads(lambda x: x, (2.0,), order=0), "order=0 is no order of a derivative"),
    (lambda: lms.check_grads(lambda x: x, (2.0,), modes=("sideways",)), r"modes=\('sideways',\) are no modes"),
    (lambda: lms.check_grads(lambda x: x, (2.0,), modes="forward"), "modes='forward' are no modes"),
])
def test_nothing_to_check(call, message: str) -> None:
    """What would pass because nothing is compared is an error."""
    with pytest.raises(TypeError, match=message):
        call()


def test_single_precision() -> None:
    x = np.array([0.3, 0.5, 2.0], np.float32)
    lms.check_grads(lambda x: np.sum(np.sin(x) * x), (x,))
    wrong = lms.stage(lambda x: x * x)

    @lms.derivative(wrong)
    def _wrong(x):
        dz = yield wrong(x)
        return dz * x

    with pytest.raises(AssertionError, match="the derivative in forward mode is|the gradient times the direction"):
        lms.check_grads(lambda x: np.sum(wrong(x[0]) + x), (x,), modes=("reverse",))


def test_infinite_values_are_told_without_warnings() -> None:
    with pytest.raises(AssertionError, match="in forward mode is inf, and by differences nan"):
        lms.check_grads(lambda x: x * x, (np.inf,))
