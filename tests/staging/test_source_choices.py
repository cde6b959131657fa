"""`if`, conditional expressions, `and`, `or`, `not`, comparisons: now and later, as Python means them."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core.errors import LmsError, UndefinedError
from tests.support.differential import agrees, points_at, refused

FLOATS = [(v,) for v in (-2.0, -1.0, 0.0, 0.5, 1.0, 3.0, 12.0, 30.0)]


def test_if_elif_else():
    def f(x: Rep[f64]):
        y = 0
        if x < 0:
            y = -x
        elif x == 0:
            y = 5
        elif x < 1:
            pass
        else:
            y = x * 2
        return y

    agrees(f, *FLOATS)


def test_a_long_chain_is_no_deeper_for_python_than_a_short_one():
    def f(x: Rep[f64]):
        if x == 1:
            return abs(x)
        elif x == 2:
            return abs(x) + 1
        elif x == 3:
            return abs(x) + 2
        elif x == 4:
            return abs(x) + 3
        elif x == 5:
            return abs(x) + 4
        elif x == 6:
            return abs(x) + 5
        elif x == 7:
            return abs(x) + 6
        elif x == 8:
            return abs(x) + 7
        elif x == 9:
            return abs(x) + 8
        elif x == 10:
            return abs(x) + 9
        elif x == 11:
            return abs(x) + 10
        elif x == 12:
            return abs(x) + 11
        elif x == 13:
            return abs(x) + 12
        elif x == 14:
            return abs(x) + 13
        elif x == 15:
            return abs(x) + 14
        elif x == 16:
            return abs(x) + 15
        elif x == 17:
            return abs(x) + 16
        elif x == 18:
            return abs(x) + 17
        elif x == 19:
            return abs(x) + 18
        elif x == 20:
            return abs(x) + 19
        elif x == 21:
            return abs(x) + 20
        return abs(x)

    agrees(f, *[(float(k),) for k in range(24)])


def test_early_returns_nest():
    def f(x: Rep[f64]):
        if x < 0:
            return -1.0
        if x == 0:
            return 0
        if x < 1:
            if x < 0.6:
                return x
            x = x + 1
        y = x * 2
        return y

    agrees(f, *FLOATS, (0.7,))


def test_conditional_expressions_and_logic():
    def f(x: Rep[f64]):
        y = x if x > 0 and x < 10 or x == -1 else -x if 3 < x <= 20 else 0
        z = not x or x > 2
        return y, z, not (x > 1), (x or 7.0), (x and 3.0)

    agrees(f, *FLOATS)


def test_logic_does_not_evaluate_what_python_does_not():
    def f(x: lms.Array[f64, "n"], i: Rep[i64]):
        if i < len(x) and x[i] > 0:
            return x[i]
        if i >= len(x) or x[i] == 0:
            return -1.0
        return x[i] if i < len(x) else 0.0

    agrees(f, *[(np.array([1.0, 0.0, -3.0]), i) for i in range(5)])


def test_chained_comparison_evaluates_the_middle_once(capsys):
    def f(x: Rep[f64]):
        def middle(y):
            print(y)
            return y

        return 0 < middle(x) < 5 < middle(x * 2) != 7

    g = lms.stage(backend="interpret")(f)
    for args in FLOATS:
        expected = f(*args), capsys.readouterr().out
        assert (g(*args), capsys.readouterr().out) == expected


def test_membership():
    def f(n: Rep[i64]):
        return n in [1, 2, 5], n not in (3, n), n in range(0, 10, 3), n in range(5, 0, -1), n in {7: "seven"}

    agrees(f, *[(k,) for k in range(12)])


def test_a_condition_of_now_leaves_no_trace():
    @lms.stage(backend="interpret")
    def f(x: Rep[f64], twice: bool):
        if twice and isinstance(twice, bool):
            x = x * 2
        return x if not twice else x + 1

    assert f(3.0, True) == 7.0 and f(3.0, False) == 3.0


def test_literals_meet_typed_values():
    def f(x: Rep[f64], n: Rep[i64]):
        p = 1
        q = 0
        if x > 0:
            p = x
            q = n
        return p, q

    agrees(f, (2.0, 3), (-2.0, 3))


def test_two_literals_keep_a_literals_manners():
    @lms.stage(backend="interpret")
    def f(x: lms.Array[lms.f32, "n"], c: Rep[f64]):
        k = 1 if c > 0 else 2
        return x * k

    assert f(np.ones(2, np.float32), 1.0).dtype == np.float32


def test_containers_meet_leaf_by_leaf():
    def f(x: Rep[f64]):
        state = {"a": 1.0, "b": (x, "name")}
        if x > 1:
            state = {"a": x, "b": (x * 2, "name")}
        return state["a"], state["b"][0], len(state["b"][1])

    agrees(f, *FLOATS)


def test_arrays_of_two_sizes_meet():
    def f(x: lms.Array[f64, "n"], c: Rep[f64]):
        if c > 0:
            y = x[1:]
        else:
            y = x[:2]
        return y.sum(), y.shape[0]

    agrees(f, (np.arange(5.0), 1.0), (np.arange(5.0), -1.0))


def test_branches_change_arrays_in_place():
    def f(x: lms.Mut[lms.Array[f64, "n"]], c: Rep[f64]):
        y = x
        if c > 0:
            x[0] = c
            y = x.copy()
        else:
            x[1] += c
        y[2] = 9.0
        return x[2]

    agrees(f, (np.arange(4.0), 1.0), (np.arange(4.0), -1.0))


def test_temporaries_of_branches_need_not_agree():
    def f(x: Rep[f64]):
        if x > 0:
            t = "text"
            y = len(t) * x
        else:
            t = None
            y = 1 if t is None else 2
        return y

    agrees(f, *FLOATS)


def test_undefined_on_one_path():
    def f(x: Rep[f64]):
        if x > 0:
            y = 1.0
        return y

    e = refused(f, 1.0)
    assert isinstance(e, UndefinedError) and isinstance(e, UnboundLocalError)
    points_at(e, f, "y")
    assert [note for note, _ in e.notes] == ["one path defines it here", "the other path does not define it"]


def test_undefined_is_no_error_where_it_is_not_read():
    def f(x: Rep[f64]):
        if x > 0:
            y = 1.0
        y = x
        return y

    agrees(f, *FLOATS)


@pytest.mark.parametrize(("value", "text"), [('"no"', "'no'"), ("None", "None")])
def test_what_cannot_meet(value, text, tmp_path):
    f = module(tmp_path, f"""
        def f(x):
            if x > 0:
                y = x
            else:
                y = {value}
            return y
        """).f
    e = refused(f, 1.0)
    assert isinstance(e, TypeError)
    assert f"'y' is x: f64 on one path and {text} on the other" in str(e)
    points_at(e, f, "y")
    assert ("found = False" in e.fix) == (value == "None")


def test_two_strong_types_name_both_lines():
    def f(x: Rep[f64], n: Rep[i64]):
        if x > 0:
            y = n
        else:
            y = x
        return y

    e = refused(f, 1.0, 1)
    assert isinstance(e, TypeError) and len(e.notes) == 2
    points_at(e, f, "y")


def test_an_array_has_no_truth():
    def f(x: lms.Array[f64, "n"]):
        if x:
            return 1.0
        return 2.0

    e = refused(f, np.ones(3))
    points_at(e, f, "x")
    assert "`.any()` or `.all()`" in e.fix


def test_walrus():
    def f(x: Rep[f64]):
        if (y := x * 2) > 3 and (z := y + 1) < 10:
            y = y + z - x
        return y

    agrees(f, *FLOATS)


def test_walrus_in_a_part_that_may_not_be_evaluated():
    def f(x: Array[f64, "n"], k: Rep[i64]):
        s = 0.0
        for i in range(k):
            s += (t := x[i]) * t if i < len(x) else s
            if s > 3 and (u := x[0]) > 0:
                s -= u
        return s

    agrees(f, *[(np.array([1.0, 2.0, -3.0]), k) for k in range(6)])

    def h(x: Array[f64, "n"]):
        i = 0
        s = 0.0
        while i < len(x) and (v := x[i]) > 0 and (w := x[i] * 2) < 100:
            s += v * w
            i += 1
        else:
            s += 0.5
        if i < len(x) and (last := x[i]) < 0:
            return s + last
        elif s > 3 and (last := x[0]) > 1:
            y = last
        else:
            y = 0.0
        return s - y

    agrees(h, *[(np.array(v, float),) for v in ([], [1.0], [1.0, 2.0, -3.0], [2.0, 3.0, 70.0], [2.0, 2.0], [-1.0])])

    def g(x: Array[f64, "n"], k: Rep[i64]):
        s = (t := x[k]) * t if k < len(x) else 0.0
        if s > 1:
            s = s + t
        return s + t

    assert isinstance(refused(g, np.ones(3), 1), LmsError)


def module(folder, source):
    """A module of its own, so that its source is found."""
    import importlib.util
    import textwrap

    file = folder / "given.py"
    file.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location("given", file)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
