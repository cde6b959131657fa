"""`for` and `while`: which run now, which later, and how often their bodies are staged."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f32, f64, i64
from tests.support.differential import COUNTS, VECTORS, agrees, operations, refused


def test_sums():
    def f(x: Array[f64, "n"]):
        s = 0
        for v in x:
            s += v
        return s

    agrees(f, *VECTORS)


def test_the_types_of_literals_follow_the_loop():
    @lms.stage(backend="interpret")
    def f(x: Array[f32, "n"]):
        s, k, p = 0, 0, 1
        for v in x:
            s += v
            k += 1
            p = p * 2 + v
        return s, k, p

    s, k, p = f(np.array([1.5, 2.5], np.float32))
    assert (type(s), s) == (np.float32, 4.0) and (type(k), k) == (int, 2) and (type(p), p) == (np.float32, 9.5)
    assert type(f(np.zeros(0, np.float32))[0]) is np.float32


def test_ranges():
    def f(n: Rep[i64]):
        out = 0
        for i in range(n):
            out = (out * 3 + i) % 1009
        for i in range(2, n):
            out = (out * 3 + i) % 1009
        for i in range(n, -2, -3):
            out = (out * 3 + i) % 1009
        for i in range(0, n, 2):
            out = (out * 3 - i) % 1009
        return out

    agrees(f, *COUNTS)


def test_a_step_that_is_known_later():
    def f(a: Rep[i64], b: Rep[i64], step: Rep[i64]):
        out = 0
        for i in range(a, b, step):
            out = (out * 3 + i) % 1009
        return out

    agrees(f, (0, 9, 2), (9, 0, -2), (0, 9, -1), (0, 9, 0), (5, 5, 1))


def test_bounds_are_evaluated_once():
    def f(n: Rep[i64]):
        k = 0
        for _ in range(n):
            n = n + 1
            k += 1
        return n, k

    agrees(f, *COUNTS)


def test_the_loop_variable_after_the_loop():
    def f(n: Rep[i64]):
        i = -1
        for i in range(n):  # noqa: B007  # its value after the loop is the point
            pass
        return i

    def g(n: Rep[i64]):
        for i in range(n):
            t = i * i
        return i + t

    agrees(f, *COUNTS)
    agrees(g, *COUNTS)


def test_unbound_where_the_loop_did_not_run():
    def f(n: Rep[i64]):
        while n > 3:
            last = n
            n -= 2
        return last

    agrees(f, *COUNTS)


def test_arrays_enumerate_zip_reversed_map():
    def f(x: Array[f64, "n"]):
        out = 0.0
        for i, v in enumerate(x):
            out = out * 2 + i * v
        for i, v in enumerate(x, 5):
            out = out * 2 + i * v
        for a, b in zip(x, x[1:], strict=False):
            out = out * 2 + a - b
        for v in reversed(x):
            out = out * 2 + v
        for k, (i, v) in enumerate(zip(range(100, 0, -1), reversed(x), strict=False)):
            out = out * 2 + k * i - v
        for v in map(lambda v: v * v, x):
            out += v
        return out

    agrees(f, *VECTORS)


def test_rows():
    def f(x: Array[f64, "n", "m"]):
        out = np.zeros(x.shape[0])
        for i, row in enumerate(x):
            for v in row:
                out[i] += v
        return out

    agrees(f, (np.arange(6.0).reshape(2, 3),), (np.zeros((0, 3)),))


def test_rows_are_taken_apart():
    """An array whose length is known later has as many items as there are names for them."""
    def total(xs: Array[f64, "n", "m"]):
        s = 0.0
        a, b = xs[0]
        for k, (x, y) in enumerate(xs):
            s += (k + a) * x - b * y
        first, (c, d) = xs.sum(), xs[1]
        (p, q), _ = xs[:2]
        return s + first * c + d, p + q, sum(x * y for x, y in xs), np.array([x - y for x, y in xs[1:]])

    def paired(xs: Array[f64, "n", "m"], ys: Array[f64, "n"]):
        return np.array([x * y + z for (x, y), z in zip(xs, ys, strict=True)])

    table = np.arange(6.0).reshape(3, 2)
    agrees(total, (table[:2],))
    agrees(paired, (table, table[:, 0].copy()))
    for wrong, message in ((table.T.copy(), "too many"), (table[:, :1].copy(), "not enough")):
        agrees(total, (wrong,))
        with pytest.raises(ValueError, match=f"{message} values to unpack"):
            lms.stage(total)(wrong)


def test_zip_strict():
    def f(x: Array[f64, "n"], y: Array[f64, "m"]):
        s = 0.0
        for a, b in zip(x, y, strict=True):
            s += a * b
        return s

    agrees(f, (np.ones(3), np.ones(3)))
    with pytest.raises(ValueError, match="different lengths"):
        lms.stage(backend="interpret")(f)(np.ones(3), np.ones(2))


def test_while():
    def f(x: Rep[f64]):
        k = 0
        while x < 100:
            x = x * x + 1
            k += 1
        return x, k

    agrees(f, (0.0,), (3.0,), (200.0,))


def test_while_else_break_continue():
    def f(x: Rep[f64], n: Rep[i64]):
        k = 0
        while k < n:
            if k == 3:
                k = k + 2
                continue
            x = x * 2
            k += 1
            if x > 100:
                break
        else:
            x = -x
        return x, k

    agrees(f, *[(1.5, k) for k in range(9)], (90.0, 5))


def test_while_true():
    def f(x: Rep[f64]):
        while True:
            x = x * 2
            if x > 50:
                break
        return x

    agrees(f, (1.0,), (60.0,))
    assert operations(f, 1.0).count("while") == 1
    assert operations(f, 1.0).count("mul") == 1  # no iteration is peeled off


def test_a_while_that_turns_out_to_be_staged_begins_again():
    def f(x: Array[i64, "n"]):
        k = 0
        while k < 10:
            k = k + x[k]
        return k

    agrees(f, (np.full(12, 3),), (np.arange(1, 13),))
    assert operations(f, np.full(12, 3)).count("load") == 1


def test_nested_loops_are_staged_once(capsys):
    def f(x: Array[f64, "n"]):
        s = 0.0
        for a in x:
            t = 0.0
            for b in x:
                u = 0.0
                for c in x:
                    lms.print_now("tried")
                    u += a * b * c
                t += u
            s += t
        return s

    lms.stage(backend="interpret")(f).specialize(np.ones(3))
    assert capsys.readouterr().out == "tried\n"


def test_attempts_at_inner_loops_begin_where_the_last_ended(capsys):
    def f(x: Array[f64, "n"]):
        s = 0
        for a in x:
            t = 0
            for b in x:
                u = 0
                for c in x:
                    v = 0
                    for d in x:
                        lms.print_now("tried")
                        v += a * b * c * d
                    u += v
                t += u
            s += t
        return s

    agrees(f, *VECTORS[:3])
    capsys.readouterr()
    lms.stage(backend="interpret")(f).specialize(np.ones(3))
    assert capsys.readouterr().out.count("tried") == 5  # not 2 ** 4


def test_types_found_in_an_earlier_attempt_are_not_taken_for_granted():
    def f(x: Array[f32, "n"]):
        s, k = 0, 0
        for v in x:
            t = 0
            for _ in range(2):
                t += s
            s = s + v
            k += t
        return s, k

    g = lms.stage(backend="interpret")(f)
    for x in (np.zeros(0, np.float32), np.array([1.5, 2.0, 3.0], np.float32)):
        s, k = g(x)
        assert (s, k) == f(x) and type(s) is type(k) is np.float32


def test_a_condition_changes_nothing():
    def f(a: Mut[Array[f64, "n"]]):
        def step():
            a[0] += 1
            return a[0]

        while step() < 3:
            pass
        return a[0]

    e = refused(f, np.zeros(2))
    assert "condition of this `while`" in e.message and "while True" in e.fix


def test_a_while_of_now_is_unrolled():
    def f(x: Rep[f64], n: int):
        while n > 0:
            x = x * n
            n -= 1
        return x

    agrees(f, (2.0, 4), (2.0, 0))
    assert "while" not in operations(f, 2.0, 4)


def test_combinators_need_no_source():
    f = eval("lambda x, n: lms.fori_loop(0, n, lambda i, s: s + i * x, 0)", {"lms": lms})
    g = eval("lambda x: lms.while_loop(lambda s: s[0] < 100, lambda s: (s[0] * s[0], s[1] + 1), (x, 0))", {"lms": lms})
    h = eval("lambda x: lms.cond(x > 0, lambda x: x, lambda x: -x, x)", {"lms": lms})
    stage = lms.stage(backend="interpret")
    assert lms.stage(backend="interpret")(outer(f))(2.0, 4) == f(2.0, 4) == 12.0
    assert stage(outer(g))(3.0) == g(3.0) == (6561.0, 3)
    assert stage(outer(h))(-3.0) == h(-3.0) == 3.0


def test_what_combinators_cannot_join():
    def choice(x: Rep[f64]):
        return lms.cond(x > 0, lambda: (x, 1), lambda: x)

    def types(x: Rep[f64], n: Rep[i64]):
        return lms.cond(x > 0, lambda: x, lambda: n)

    def loop(x: Rep[f64]):
        return lms.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1], s[0]), (x, x))

    assert refused(choice, 1.0).message.startswith("the value is a tuple of 2 on one path")
    assert refused(types, 1.0, 1).message == "the value has two types where the paths meet: f64 and i64"
    assert refused(loop, 1.0).message == "'state' is a tuple of 2 on one path and a tuple of 3 on the other"


def outer(f):
    """`f` as a function without source of its own that takes staged numbers."""
    f.__annotations__ = dict.fromkeys(f.__code__.co_varnames[: f.__code__.co_argcount], Rep[f64])
    if "n" in f.__annotations__:
        f.__annotations__["n"] = Rep[i64]
    return f
