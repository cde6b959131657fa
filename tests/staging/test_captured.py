"""What staged functions take from around them: globals, closure cells, arrays, attributes. What has changed is seen."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

import lms
from lms import Rep, f64, i64
from tests.support.specializations import specializations


def test_a_staged_function_captures_values_of_the_function_around_it():
    @lms.stage
    def outer(x, a):
        y = x * 2

        @lms.stage
        def inner(z: Rep[f64]) -> Rep[f64]:
            @lms.stage
            def innermost(w: Rep[f64]) -> Rep[f64]:
                return w * y + a[0]

            return innermost(z) + x

        return inner(1.0) + inner(x)

    # y = 6; inner(z) = z * 6 + 5 + 3
    assert outer(3.0, np.array([5.0])) == (6 + 8) + (18 + 8)


def test_a_recursive_function_captures():
    @lms.stage
    def outer(x, n: Rep[i64]):
        @lms.stage
        def go(k: Rep[i64]) -> Rep[f64]:
            if k == 0:
                return 0.0
            return x + go(k - 1)

        return go(n)

    assert outer(2.5, 4) == 10.0


SCALE = 2.0
DATA = np.arange(3.0)


@lms.stage
def scaled(x):
    return x * SCALE + DATA.sum()


def test_changing_a_global_specialises_again(monkeypatch):
    assert scaled(1.0) == 5.0
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert scaled(1.0) == 6.0
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert scaled(1.0) == 5.0


@dataclasses.dataclass
class Weighed:
    mass: float


@lms.stage
def weight(body):
    return 9.81 * body.mass


def test_a_global_with_the_name_of_an_attribute_is_no_dependency(monkeypatch):
    monkeypatch.setitem(globals(), "mass", np.ones(3))
    assert weight(Weighed(2.0)) == 19.62
    monkeypatch.setitem(globals(), "mass", "heavy")
    assert weight(Weighed(1.0)) == 9.81
    assert specializations(weight) == 1
    (found,) = next(iter(weight.specializations.values()))
    assert "mass" not in {d.name for d in found.traced.dependencies}


def test_a_captured_array_is_an_input_by_reference(monkeypatch):
    scaled(1.0)
    DATA[0] += 10
    try:
        assert scaled(1.0) == 15.0
    finally:
        DATA[0] -= 10
    n = specializations(scaled)
    monkeypatch.setitem(globals(), "DATA", np.ones(5))
    assert scaled(1.0) == 7.0
    assert specializations(scaled) == n


def test_a_captured_array_is_not_written_to():
    data = np.zeros(3)

    def f(x):
        data[0] = x
        return x

    with pytest.raises(lms.StagingError):
        lms.stage(f)(1.0)


def test_closure_cells_are_part_of_the_key():
    def make(k):
        def f(x):
            return x + k

        return lms.stage(f)

    assert make(1)(1.0) == 2.0 and make(2)(1.0) == 3.0


def test_an_array_read_while_staging_is_part_of_the_key():
    table = np.array([1.0, 2.0])
    sizes = [1, 2]

    @lms.stage
    def f(x):
        return x * table[0] + len(sizes)

    assert f(1.0) == 3.0
    table[0] = 5.0
    assert f(1.0) == 7.0
    sizes.append(3)
    assert f(1.0) == 8.0


def test_methods_stage_and_see_changed_attributes():
    class Model:
        def __init__(self):
            self.scale = 2.0

        @lms.stage
        def __call__(self, x):
            return x * self.scale

    m = Model()
    assert m(3.0) == 6.0
    m.scale = 4.0
    assert m(3.0) == 12.0


def test_a_function_that_holds_a_staged_value_does_not_leave():
    with pytest.raises(lms.StagingError, match="holds a staged value"):
        lms.stage(lambda x: lambda: x)(1.0)


W = np.arange(1.0, 4.0)


def by_element(x):
    return x * W[0] + W.sum()


def by_operator(x):
    return (W * 2).sum() * x + (W * x)[1]


def by_loop(x):
    s = 0.0
    for w in W:
        s += w * x
    for i in range(len(W)):
        s += W[i]
    return s + W @ W


def by_condition(x):
    return x if W[0] > 5 else W.max() - x


@pytest.mark.parametrize("f", [by_element, by_operator, by_loop, by_condition])
def test_every_use_of_a_captured_array_sees_its_present_contents(f):
    s = lms.stage(f)
    for factor in (1.0, 10.0, 0.5):
        W[:] = factor * np.arange(1.0, 4.0)
        assert s(2.0) == f(2.0)
    W[:] = np.arange(1.0, 4.0)
    assert specializations(s) == 1


def test_what_keeps_changing_is_an_argument():
    class Model:
        w = np.zeros(2)

    model = Model()

    @lms.stage(backend="interpret")
    def f(x):
        return x @ model.w

    model.w = np.zeros(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(12):
            model.w[0] = k
            assert f(np.ones(2)) == k
    assert [w.category for w in caught] == [lms.SpecializationWarning]
    assert "'model' changed" in str(caught[0].message) and caught[0].filename == __file__


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
def test_a_captured_value_that_is_assigned_again_is_seen(backend):
    @lms.stage(backend=backend)
    def f(x):
        acc = x
        k = 1.0

        @lms.stage
        def g(y: Rep[f64]) -> Rep[f64]:
            return y * acc + k

        first = g(2.0)
        acc = acc + 1
        second = g(2.0)
        k = 10.0
        return first, second, g(2.0), g(2.0)

    assert f(3.0) == (7.0, 9.0, 18.0, 18.0)
    assert f.specialize(3.0).ir.count("\ndef ") == 3


def test_variables_of_the_staged_code_are_no_dependencies():
    @lms.stage
    def f(x):
        k = 1.0

        @lms.stage
        def g(y):
            return y * k + x

        first = g(x)
        k = 2.0
        return first + g(x)

    assert f(3.0) == f(3.0) == 15.0
    assert specializations(f) == 1 and f.specialize(3.0) is f.specialize(4.0)
    assert not f.specialize(3.0).traced.dependencies


LEFT = RIGHT = np.ones(2)


def test_two_names_of_one_captured_array_may_part(monkeypatch):
    f = lms.stage(lambda x: (LEFT * x - RIGHT).sum())
    assert f(3.0) == 4.0
    monkeypatch.setitem(globals(), "RIGHT", 5 * np.ones(2))
    assert f(3.0) == -4.0
    monkeypatch.setitem(globals(), "LEFT", RIGHT)
    assert f(3.0) == 20.0
