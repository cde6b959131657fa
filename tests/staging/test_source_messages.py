"""`print`, `assert` and `raise` in staged code: later, once for each execution, with the numbers of then."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core.errors import LmsError
from tests.support.differential import agrees, points_at, refused


def test_print_happens_later_in_program_order(capsys):
    def f(x: Rep[f64], n: Rep[i64]):
        print("begin", n)
        for i in range(n):
            print("x", x, f"{i:3d} {x!r:>8} {{}}", [i, x], (x,), sep="|", end=";\n")
        if x > 1:
            print("big {}")
        else:
            print("small", None, "a" + f"{x:.1f}" + "b")
        print()
        return x

    g = lms.stage(backend="interpret")(f)
    for args in ((2.0, 2), (0.5, 0)):
        f(*args)
        expected = capsys.readouterr().out
        for _ in range(2):
            g(*args)
            assert capsys.readouterr().out == expected


def test_print_now(capsys):
    @lms.stage(backend="interpret")
    def f(x: Rep[f64]):
        lms.print_now("staging")
        return x

    f(1.0)
    f(2.0)
    assert capsys.readouterr().out == "staging\n"


def test_assert_and_raise():
    def f(x: Rep[f64], n: Rep[i64]):
        for i in range(n):
            if x > 3:
                raise ValueError(f"x is {x:.2f} at {i}")
            x += 1
        assert x < 3, f"at the end {x}"
        assert x != 0.5, "a half"
        if x < 0:
            raise ZeroDivisionError
        return x

    agrees(f, (1.0, 1), (1.0, 5), (2.0, 1), (0.5, 0), (-1.0, 0))


def test_a_guard_is_a_check_and_no_branch():
    @lms.stage(backend="interpret")
    def f(x: Rep[f64]):
        if x < 0:
            raise ValueError("negative")
        y = x * 2
        return y

    names = [node.op.name for node in f.specialize(1.0).staged.main.body.nodes]
    assert "check" in names and "if" not in names


def test_a_branch_that_raises_need_not_bind_anything():
    def f(x: Rep[f64]):
        if x < 0:
            print("no", x)
            raise ValueError("negative")
        elif x < 1:
            y = x
        else:
            y = x * 2
        return y

    agrees(f, (-1.0,), (0.5,), (3.0,))


def test_helpers_that_raise():
    def fail(v, why="because"):
        raise ValueError(f"no {v} {why}")

    def check(v):
        if v > 3:
            fail(v)
        return v + 1

    def f(x: Rep[f64], n: Rep[i64]):
        for _ in range(n):
            x = check(x)
        if x == 2:
            fail(x)
            x = 100.0
        return x

    agrees(f, (1.0, 0), (1.0, 1), (1.0, 2), (1.0, 5))


def test_every_iteration_raises():
    def f(n: Rep[i64]):
        for i in range(n):
            raise ValueError(f"at {i}")
        return n

    agrees(f, (0,), (2,))


def test_the_place_of_a_later_error():
    def f(x: Array[f64, "n"], k: Rep[i64]):
        s = 0.0
        assert k >= 0, f"k is {k}"
        return s + x[k]

    g = lms.stage(backend="interpret")(f)
    with pytest.raises(AssertionError) as e:
        g(np.ones(2), -1)
    assert 'assert k >= 0, f"k is {k}"' in str(e.value) and "^^^" in str(e.value)


def test_raised_now_where_nothing_is_staged():
    def f(x: Rep[f64], n: int):
        if n > 3:
            raise KeyError("n")
        return x

    agrees(f, (1.0, 3))
    with pytest.raises(KeyError):
        lms.stage(backend="interpret")(f)(1.0, 4)


def test_own_exceptions_exist_now():
    class Own(Exception):
        pass

    def f(x: Rep[f64]):
        if x > 0:
            raise Own("later")
        return x

    e = refused(f, 1.0)
    points_at(e, f, 'raise Own("later")')
    assert "ValueError" in e.fix


def test_every_path_raises():
    def f(x: Rep[f64]):
        if x > 0:
            raise ValueError("a")
        else:
            raise TypeError("b")

    assert refused(f, 1.0).message == "every path raises here, so there is no result"


def test_raising_in_an_expression():
    def f(x: Rep[f64]):
        def fail():
            raise ValueError("no")

        return x if x > 1 else fail()

    assert refused(f, 1.0).fix == "use an `if` statement"


def test_try_catches_what_is_raised_now():
    def f(x: Rep[f64]):
        try:
            d = {"a": 1}["b"]
        except (KeyError, IndexError) as e:
            d = len(e.args)
        else:
            d = 100
        finally:
            x = x + 1
        return x * d

    agrees(f, (1.0,))


def test_try_cannot_catch_what_is_raised_later():
    def f(x: Array[f64, "n"], k: Rep[i64]):
        try:
            y = x[k]
        except IndexError:
            y = 0.0
        return y

    e = refused(f, np.ones(3), 7)
    points_at(e, f, "x[k]")


def test_try_does_not_catch_our_own_errors():
    def f(x: Rep[f64]):
        try:
            y = [1][x]
        except Exception:  # noqa: BLE001  # the program that is staged
            y = 0.0
        return y

    assert isinstance(refused(f, 1.0), LmsError)


def test_text_of_later_is_for_messages():
    def f(x: Rep[f64]):
        return len(f"{x}")

    with pytest.raises((TypeError, LmsError)):
        lms.stage(backend="interpret")(f)(1.0)


def test_text_that_exists_later_has_no_length_and_no_methods():
    for f in (lambda x: len(f"{x:.2f}"), lambda x: f"{x}".upper()):
        assert "this text holds numbers that exist later" in str(refused(f, 1.0))


def test_what_stands_in_brackets_later():
    table, names, text = [1.0, 2.0], {0: 1.0}, "ab"

    @lms.stage(backend="interpret")
    def f(n: Rep[i64], which: int):
        return (table, names, text)[which][n]

    for which, (kind, fix) in enumerate([("list", "xs = np.array"), ("dict", "number the keys"), ("str", "codes = ")]):
        with pytest.raises(lms.StagingError, match=rf"a {kind} is known now, but n: i64 in its brackets is .*(.|\n)*{fix}"):
            f(1, which)
    assert lms.stage(lambda x, n: [x, 2 * x][0] + [x, 3 * x][-1:][0])(1.0, 1) == 4.0


def test_errors_call_functions_and_values_by_their_own_names():
    def halved(x: Rep[f64]):
        def again(y):
            return y if y < 1.0 else again(y / 2) * 1.1
        return again(x)

    def one_side(x: Rep[f64]):
        y = x if x > 0 else None
        return y

    assert str(refused(halved, 1.5)).startswith(f"{__file__}") and ": again calls itself more than" in str(refused(halved, 1.5))
    assert "fix: give both sides one type" in str(refused(one_side, 1.5))


def test_items_of_now_by_a_key_of_later():
    def least(x: Array[f64, "n"]):
        return min(range(3), key=lambda i: x[i]), max([3, 1, 2], key=lambda i: -x[i - 1])

    def backwards(x: Array[f64, "n"]):
        return sorted(x, reverse=True)[0]

    for x in ([3.0, 1.0, 2.0], [1.0, 1.0, 0.0]):
        agrees(least, (np.array(x),))
        agrees(backwards, (np.array(x),))
    assert "np.argsort(keys)" in str(refused(lambda x: sorted(range(3), key=lambda i: x[i])[0], np.arange(3.0)))
    assert "np.nditer cannot be staged" in str(refused(lambda x: sum(v for v in np.nditer(x)), np.arange(3.0)))


def test_a_library_that_looks_at_a_staged_value_is_named_at_the_users_call():
    from scipy.optimize import brentq

    def root(a: Rep[f64]):
        return brentq(lambda t: t * t - a, 0.0, 5.0)

    e = refused(root, 2.0)
    assert "scipy's brentq is a library's and runs now, but" in str(e) and "py_call" in e.fix
    points_at(e, root, "brentq(lambda t: t * t - a, 0.0, 5.0)")
