"""`lms.root` and `lms.fixed_point`: solved by iteration, differentiated by the implicit function theorem."""

import inspect

import numpy as np
import pytest

import lms
from lms import Array, Rep, StagingError, f32, f64, i64

random = np.random.default_rng(2)
A = random.normal(size=(3, 3)) / 3.0 + 3.0 * np.eye(3)
B = random.normal(size=3)


def here(f, **options):
    """Run by the interpreter: what is tested is the program, and compiling it takes longer."""
    return lms.stage(f, backend="interpret", **options)


def square_root(a):
    return lms.root(lambda x, a: x * x - a, 1.0, a)


def captured(a):
    return lms.root(lambda x: x * x - a, 1.0)


def cosine(a):
    return lms.fixed_point(lambda x, a: np.cos(a * x), 0.5, a)


def system(a, b):
    return lms.root(lambda x: a @ x + np.sin(x) - b, np.zeros(3))


def contraction(a, b):
    return lms.fixed_point(lambda x, a: np.tanh(a @ x / 8.0 + b), np.zeros(3), a)


def matrix_root(a):
    return lms.root(lambda x: x @ x - a, np.eye(3) * 2.0)


CASES = {
    "number": (square_root, 2.0), "captured": (captured, 3.0), "fixed_point": (cosine, 0.9), "system": (system, A, B),
    "contraction": (contraction, A, B), "matrix": (matrix_root, A + A.T + 4.0 * np.eye(3)),
    "step": (lambda a: lms.root(lambda x, a: x * x - a, 1.0, a, step=lambda x, a: (x + a / x) / 2), 2.0),
    "containers": (lambda p: lms.root(lambda x, p: p["a"] * x * x - p["b"][0], 1.0, p), {"a": 2.0, "b": (3.0, 1)}),
    "nested": (lambda a: lms.root(lambda x: x * lms.root(lambda y: y**3 - x * a, 1.0) - 2.0, 1.0), 1.5),
    "in_a_loop": (lambda a: lms.fori_loop(0, 3, lambda k, t: t + lms.root(lambda x: x**3 - a * (t + 1.0), 1.0), a * 0.0), 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_by_differences(name) -> None:
    f, *args = CASES[name]

    def gradient(*args):
        return lms.grad(lambda *args: np.sum(np.cos(f(*args))))(*args)

    gradient.__signature__ = inspect.signature(f)
    for g in (f, gradient):
        lms.check_grads(here(g), args, order=1, tolerance=1e-6)


def test_the_values() -> None:
    assert square_root(2.0) == pytest.approx(np.sqrt(2.0), rel=1e-15)
    assert lms.grad(captured)(2.0) == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-14)
    assert lms.grad(lms.grad(captured))(2.0) == pytest.approx(-0.25 * 2.0**-1.5, rel=1e-14)
    x = here(system)(A, B)
    np.testing.assert_allclose(A @ x + np.sin(x), B, atol=1e-14)
    square = A + A.T + 4.0 * np.eye(3)
    found = here(matrix_root)(square)
    np.testing.assert_allclose(found @ found, square, rtol=1e-12)


def test_compiled() -> None:
    x = lms.stage(system)(A, B)
    np.testing.assert_allclose(A @ x + np.sin(x), B, atol=1e-14)
    gradient = lms.grad(lambda a, b: np.sum(system(a, b)), argnums=1)(A, B)
    np.testing.assert_allclose(gradient, np.linalg.solve((A + np.diag(np.cos(x))).T, np.ones(3)), rtol=1e-12)


def test_newton_s_step_is_halved() -> None:
    """The whole step leads away from here."""
    assert lms.root(lambda x: np.arctan(x), 3.0) == pytest.approx(0.0, abs=1e-14)


def test_a_whole_number_to_start_from() -> None:
    assert lms.root(lambda x: x * x - 4.0, 1) == pytest.approx(2.0)
    np.testing.assert_allclose(here(lambda: lms.root(lambda x: x * x - 4.0, np.array([1, 3])))(), [2.0, 2.0])


def test_a_root_to_start_from() -> None:
    assert lms.root(lambda x: x * x, 0.0) == 0.0


def test_single_precision() -> None:
    @lms.stage
    def f(a: Rep[f32]):
        return lms.root(lambda x: x * x - a, a)

    assert f(np.float32(2.0)) == pytest.approx(np.sqrt(2.0), rel=1e-6) and type(f(np.float32(2.0))) is np.float32


def many(d):
    return np.sum(lms.fixed_point(lambda x: (1.0 - 0.1 * np.roll(x, 1) ** 2) / d, 1.0 / d, linear="gmres") ** 2)


def test_more_unknowns_than_a_matrix_is_made_for() -> None:
    d = np.linspace(1.0, 2.0, 1000)
    lms.check_grads(many, (d,), order=1, modes=("reverse",), tolerance=1e-6)


def test_second_derivatives_without_a_matrix() -> None:
    f = here(many)
    gradient, d = lms.grad(f), np.linspace(1.0, 2.0, 300)
    direction = np.cos(d)
    step = 1e-5 * direction
    np.testing.assert_allclose(lms.hvp(f, (d,), (direction,)), (gradient(d + step) - gradient(d - step)) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("linear", ["dense", "gmres"])
@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_no_unknowns(linear, shape) -> None:
    """What has no elements solves itself, and so do its derivatives."""
    def f(p):
        x = lms.root(lambda x, p: x * x - p, np.ones(p.shape), p, linear=linear)
        return np.sum(x) + np.sum(lms.fixed_point(lambda x, p: x * 0.5 + p, p, p, linear=linear))

    g, p = here(f), np.zeros(shape)
    assert g(p) == 0.0
    assert lms.grad(g)(p).shape == lms.hvp(g, (p,), (p,)).shape == shape


def test_a_number_of_unknowns_that_may_be_zero() -> None:
    @lms.stage
    def f(p: Rep[Array[f64, "n"]]):
        return np.sum(lms.root(lambda x, p: x * x - p, np.ones(p.shape), p, linear="dense"))

    assert f(np.zeros(0)) == 0.0 and lms.grad(f)(np.zeros(0)).shape == (0,)
    np.testing.assert_allclose(lms.grad(f)(np.ones(2)), [0.5, 0.5])


def test_the_dense_way_and_gmres_agree() -> None:
    found = [lms.grad(here(lambda a, b, how=how: np.sum(lms.root(lambda x: a @ x + np.sin(x) - b, b, linear=how))))(A, B)
             for how in ("dense", "gmres", "auto")]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)
    np.testing.assert_array_equal(found[0], found[2])


def test_nothing_of_the_iteration_is_kept() -> None:
    """The gradient makes no array that grows with the iterations, or is indexed by them."""
    @lms.stage
    def f(a: Rep[f64], n: Rep[i64]):
        return lms.fixed_point(lambda x: x - (x * x - a) / 100.0, 1.0, max_iterations=100_000)

    text = lms.grad(f).specialize(a=2.0, n=3).python
    assert "grow(" not in text and "np.zeros" not in text
    assert lms.grad(f)(2.0, 3) == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-8)


def test_the_caller_may_write_to_the_solution() -> None:
    def f(b):
        x = lms.root(lambda x: x * x * x - b, np.ones(3))
        total = np.sum(x)
        x[0] = 5.0
        return total + np.sum(x)

    lms.check_grads(here(f), (np.array([2.0, 3.0, 4.0]),), order=1)


def test_a_staged_function_is_solved_for() -> None:
    @lms.stage
    def residual(x: Rep[Array[f64, "n"]], b: Rep[Array[f64, "n"]]):
        return x**3 - b

    np.testing.assert_allclose(lms.root(residual, np.ones(2), np.array([8.0, 27.0]), linear="dense"), [2.0, 3.0])


# ------------------------------------------------------------------------------------------------- bad input


def away(x):
    return x * x + 1.0


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
@pytest.mark.parametrize(("f", "message"), [
    (lambda a: lms.root(away, a), "the root of away did not converge: after .* iterations the last step of x was"),
    (lambda a: lms.fixed_point(lambda y: 2.0 * y + a, a), "the fixed point of <lambda> did not converge: after 1000 iterations "
     r"the last step of y was 1\.0 of its size, where 1e-10 is asked"),
    (lambda a: lms.root(lambda x: x**2 - a, a, max_iterations=2), "after 2 iterations"),
    (lambda a: lms.fixed_point(lambda x: np.cos(x), a, tolerance=0.0, max_iterations=5), "where 0 is asked"),
])
def test_no_convergence(f, message, backend) -> None:
    with pytest.raises(RuntimeError, match=message) as error:
        lms.stage(f, backend=backend)(3.0)
    assert f"test_implicit.py:{inspect.getsourcelines(f)[1]}" in str(error.value)


def test_a_singular_system() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        here(lambda b: lms.root(lambda x: np.sum(x) * np.ones(2) - b, np.zeros(2)))(np.ones(2))


def test_what_gmres_cannot_solve() -> None:
    with pytest.raises(RuntimeError, match="GMRES did not converge for the derivative of"):
        here(lambda b: lms.root(lambda x: np.sum(x) * np.ones(2) - b, np.zeros(2), linear="gmres"))(np.array([1.0, 2.0]))


@pytest.mark.parametrize(("f", "message"), [
    (lambda a: lms.root(lambda x: (x, x), a), "gives f64, f64 where x is f64"),
    (lambda a: lms.root(lambda x: np.ones(2) * x, a), r"gives f64\[2\] where x is f64"),
    (lambda a: lms.root(lambda x: np.sum(x), np.zeros(2) + a), r"gives f64 where x is f64\[2\]"),
    (lambda a: lms.root(lambda x: x, (a, a)), "the unknown is one float or one array of floats"),
    (lambda a: lms.root(lambda x: x, a, linear="magic"), "linear='magic' is no way to solve"),
])
def test_what_cannot_be_staged(f, message) -> None:
    with pytest.raises(StagingError, match=message):
        lms.stage(f)(2.0)


def test_a_shape_that_turns_out_otherwise() -> None:
    with pytest.raises(ValueError, match="must give what x is"):
        here(lambda x, y: lms.root(lambda x, y: x[:2] + y, x, y))(np.ones(3), np.ones(2))
