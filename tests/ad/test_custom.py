"""Derivatives that users write: `@lms.derivative`. The rules here are wrong on purpose, to show that it is they that are used."""

import inspect

import numpy as np
import pytest

import lms
from lms import StagingError


@lms.stage
def cube(x):
    return x**3


@lms.derivative(cube)
def _cube(x):
    dz = yield cube(x)
    return dz * 2 * x * x


@lms.stage
def rounded(x):
    return np.round(x)


@lms.derivative(rounded)
def _rounded(x):
    dz = yield rounded(x)
    return dz  # one argument: no tuple is needed


@lms.stage
def dot(x, y, times: int):
    return np.sum(x * y) * times


@lms.derivative(dot)
def _dot(x, y, times):
    dz = yield dot(x, y, times)
    return dz * y * 10.0 * times, None  # `times` is known now: it takes no cotangent


@lms.stage
def several(x):
    return x * 2, {"square": x * x, "sign": x > 0}


@lms.derivative(several)
def _several(x):
    dz = yield several(x)
    assert dz[1]["sign"] is None
    return dz[0] * 100 + dz[1]["square"]


def test_the_rule_is_used() -> None:
    assert lms.grad(cube)(2.0) == 8.0
    assert lms.grad(lambda x: cube(x * x))(2.0) == 2 * 4.0**2 * 4.0


def test_derivatives_of_the_rule_are_its_own() -> None:
    assert lms.grad(lms.grad(cube))(2.0) == 8.0
    assert lms.grad(lms.grad(lms.grad(cube)))(2.0) == 4.0


def test_a_function_without_a_derivative_gets_one() -> None:
    assert lms.grad(rounded)(1.3) == 1.0
    assert lms.grad(lambda x: rounded(x * 2.0) * x)(1.3) == pytest.approx(2 * 1.3 + 3.0)


def test_forward_mode_asks_the_same_rule() -> None:
    assert lms.jvp(cube, (2.0,), (1.0,)) == (8.0, 8.0)
    value, slope = lms.jvp(lambda x: dot(x, x + 1.0, 2), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    assert (value, slope) == (16.0, 40.0)


def test_arrays_and_arguments_known_now() -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    by_x, by_y = lms.grad(dot, (0, 1))(x, y, 2)
    np.testing.assert_array_equal(by_x, 20.0 * y)
    np.testing.assert_array_equal(by_y, 0.0 * x)


def test_several_results_arrive_as_they_were_given() -> None:
    assert lms.grad(lambda x: several(x)[0] + 3.0 * several(x)[1]["square"])(1.0) == 103.0


@lms.stage
def scaled(x, times: int):
    return x * x * times, np.sum(x)


@lms.derivative(scaled, mode="forward")
def _scaled(primals, tangents):
    x, times = primals
    dx, _ = tangents
    return scaled(x, times), (10.0 * x * dx * times, np.sum(dx) * 5.0)


def test_a_rule_for_forward_mode() -> None:
    x, dx = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    (first, second), (d_first, d_second) = lms.jvp(lambda x: scaled(x, 2), (x,), (dx,))
    np.testing.assert_array_equal(first, [2.0, 8.0])
    np.testing.assert_array_equal(d_first, [20.0, 0.0])
    assert (second, d_second) == (3.0, 5.0)


def test_reverse_mode_is_derived_from_a_forward_rule() -> None:
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(lms.grad(lambda x: np.sum(scaled(x, 2)[0]) + scaled(x, 2)[1])(x), 20.0 * x + 5.0)


def test_each_mode_has_its_own_rule() -> None:
    @lms.stage
    def square(x):
        return x * x

    @lms.derivative(square, mode="forward")
    def _forward(primals, tangents):
        return square(*primals), 3.0 * tangents[0]

    @lms.derivative(square)
    def _reverse(x):
        dz = yield square(x)
        return 7.0 * dz

    assert lms.jvp(square, (2.0,), (1.0,)) == (4.0, 3.0)
    assert lms.grad(square)(2.0) == 7.0


def test_inside_loops() -> None:
    def f(x):
        s = 0.0
        for _ in lms.range(3):
            s += cube(x) * s + 1.0
        return s

    s, slope = 0.0, 0.0
    for _ in range(3):
        slope = slope * (1 + 1.1**3) + s * 2 * 1.1**2
        s = s + 1.1**3 * s + 1.0
    assert lms.grad(f)(1.1) == pytest.approx(slope)


def test_the_arguments_of_a_rule_are_those_of_the_call() -> None:
    """What the caller writes afterwards does not reach the backward half."""

    def f(x):
        y = x.copy()
        z = dot(y, y, 1)
        y[0] = 100.0
        return z + y[1]

    np.testing.assert_array_equal(lms.grad(f)(np.array([1.0, 2.0])), [10.0, 21.0])


@pytest.mark.parametrize("rule", ["branch", "twice", "none"])
def test_a_rule_of_another_form_is_refused(rule: str) -> None:
    def branch(x):
        if x:
            yield x

    def twice(x):
        dz = yield x
        dz = yield dz
        return dz

    def none(x):
        return x

    with pytest.raises(StagingError, match="exactly one `yield`"):
        lms.derivative(cube)({"branch": branch, "twice": twice, "none": none}[rule])


def test_a_rule_that_gives_too_little_is_refused() -> None:
    @lms.stage
    def product(x, y):
        return x * y

    @lms.derivative(product)
    def _product(x, y):
        dz = yield product(x, y)
        return (dz,)

    with pytest.raises(StagingError, match="returned 1 cotangents for 2") as error:
        lms.grad(product)(1.0, 2.0)
    assert f"test_custom.py:{_line(_product)}: " in str(error.value)


def test_a_function_that_is_not_staged_takes_no_rule() -> None:
    with pytest.raises(TypeError, match="not a staged function"):
        lms.derivative(abs)


def _line(f) -> int:
    """The line of a rule's `def`."""
    lines, first = inspect.getsourcelines(f)
    return first + next(k for k, line in enumerate(lines) if "def " in line)


def test_the_caller_may_write_to_a_result_that_the_rule_keeps() -> None:
    @lms.stage
    def square(x):
        return x * x

    @lms.derivative(square)
    def _square(x):
        z = square(x)
        dz = yield z
        return dz * z

    def f(x):
        y = square(x)
        total = np.sum(y)
        y[0] = 100.0
        return total

    np.testing.assert_array_equal(lms.grad(f)(np.array([2.0, 3.0])), [4.0, 9.0])


@pytest.mark.parametrize(("mode", "rule", "message"), [
    ("reverse", lambda: _two_of_one, r"the rule takes \(x, y\), and cube needs \(x\)"),
    ("forward", lambda: _one_for_forward, r"the rule takes \(primals\), and cube needs \(primals, tangents\)"),
])
def test_a_rule_of_wrong_arity_is_refused_where_it_is_given(mode, rule, message) -> None:
    with pytest.raises(StagingError, match=message) as error:
        lms.derivative(cube, mode=mode)(rule())
    assert f"test_custom.py:{_line(rule())}: " in str(error.value)
    assert lms.grad(cube)(2.0) == 8.0  # the rule it had


def _two_of_one(x, y):
    dz = yield cube(x)
    return dz, y


def _one_for_forward(primals):
    return primals


def _ruled(returned):
    """The gradient of a function of a number, a vector and a pair, whose rule returns this."""
    @lms.stage
    def f(x, v, pair):
        return x * np.sum(v) + pair[0] * pair[1]

    @lms.derivative(f)
    def _f(x, v, pair):
        dz = yield f(x, v, pair)
        return returned(x, v, pair, dz)

    return lms.grad(f, argnums=(0, 1, 2)), _line(_f)


@pytest.mark.parametrize(("returned", "message"), [
    (lambda x, v, pair, dz: (v, v, None), "the cotangent of 'x' in the rule of f is .*, where f64 is expected"),
    (lambda x, v, pair, dz: (dz, dz, None), r"the cotangent of 'v' in the rule of f is .*, where f64\[.*\] is expected"),
    (lambda x, v, pair, dz: ("one", None, None), "the cotangent of 'x' in the rule of f is .*, where f64 is expected"),
    (lambda x, v, pair, dz: (None, None, dz), "the cotangent of 'pair' in the rule of f is .*, and that is a tuple of 2"),
    (lambda x, v, pair, dz: (None, None, (dz, dz, dz)), "and that is a tuple of 2"),
    (lambda x, v, pair, dz: (dz, None), "returned 2 cotangents for 3"),
])
def test_a_cotangent_of_another_type_is_refused_at_the_rule(returned, message) -> None:
    gradient, line = _ruled(returned)
    with pytest.raises(StagingError, match=message) as error:
        gradient(1.0, np.ones(3), (2.0, 3.0))
    assert f"test_custom.py:{line}: " in str(error.value)


def test_a_cotangent_of_another_shape() -> None:
    gradient, line = _ruled(lambda x, v, pair, dz: (None, v[:2] * dz, None))
    with pytest.raises(ValueError, match="the cotangent of 'v' in the rule of f"):
        gradient(1.0, np.ones(3), (2.0, 3.0))


def test_what_is_captured_and_differentiated_is_refused() -> None:
    def outer(a):
        @lms.stage
        def scaled(x):
            return a * x

        @lms.derivative(scaled)
        def _scaled(x):
            dz = yield scaled(x)
            return dz

        return scaled(a)

    with pytest.raises(StagingError, match="has a derivative of its own and captures a, which is differentiated"):
        lms.grad(outer)(2.0)
    with pytest.raises(StagingError, match="captures a, which is differentiated"):
        lms.jvp(outer, (2.0,), (1.0,))


def test_a_wrong_rule_is_found_by_differences() -> None:
    with pytest.raises(AssertionError, match="cube: the derivative in forward mode is"):
        lms.check_grads(cube, (2.0,), order=1)
    lms.check_grads(lambda x: lms.stop_gradient(cube(x)) * 0.0 + x**2, (2.0,))
