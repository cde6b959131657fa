"""`for` and `while`: what is carried, what it becomes, which loops run now; `break`, `continue`, `return`, `else`."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f32, f64, i64, u8
from lms.core.errors import LmsError, StagingTypeError, UndefinedError
from lms.core.ir import walk
from tests.support.differential import agrees, points_at, refused

COUNTS = [(k,) for k in (0, 1, 2, 3, 7, 20)]
VECTORS = [(np.array(v, float),) for v in ([], [1.0], [3.0, -1.0, 4.0], [1.0, 11.0, 5.0, -2.0, 0.0])]


def staged(f, *args):
    """The names of the primitives in the program for these arguments."""
    s = lms.stage(backend="interpret")(f)
    return [node.op.name for node in walk(s.specialize(*args).staged.main.body)]


# ---------------------------------------------------------------------------------------------- for, while


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
    assert staged(f, 1.0).count("while") == 1
    assert staged(f, 1.0).count("mul") == 1  # no iteration is peeled off


def test_a_while_that_turns_out_to_be_staged_begins_again():
    def f(x: Array[i64, "n"]):
        k = 0
        while k < 10:
            k = k + x[k]
        return k

    agrees(f, (np.full(12, 3),), (np.arange(1, 13),))
    assert staged(f, np.full(12, 3)).count("load") == 1


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
    assert "while" not in staged(f, 2.0, 4)


# --------------------------------------------------------------------------------------- jumps, everywhere


def test_nested_loops_with_every_jump():
    def f(x: Array[f64, "n"]):
        s = 0
        for i in range(len(x)):
            if x[i] < 0:
                continue
            if x[i] > 10:
                break
            for j in range(i):
                if j == 3:
                    return s
                s += 1
                if s == 7:
                    continue
                s += 2
            else:
                s += 100
            s += x[i]
        else:
            s = -s
        if s > 300:
            return 1
        while True:
            s += 1
            if 100 < s <= 200 or s > 300:
                return s if s else 0

    agrees(f, *VECTORS, (np.zeros(6),), (np.ones(3),), (np.array([1.0, 1.0, -1.0, 1.0, 1.0, 20.0]),))


def test_return_of_a_container_from_a_loop():
    def f(x: Array[f64, "n"]):
        for i, v in enumerate(x):
            if v < 0:
                return {"index": i, "value": v}
        return {"index": -1, "value": 0.0}

    agrees(f, *VECTORS)


def test_return_of_an_array_from_a_loop():
    def f(x: Array[f64, "n"]):
        for v in x:
            if v > 2:
                return x * v
        return x

    agrees(f, *VECTORS)


def test_loops_that_run_now_with_exits_that_are_taken_later():
    def f(x: Rep[f64]):
        found = -1
        for k in range(5):
            x = x * 2
            if x > 7:
                found = k
                break
        else:
            x = 0.0
        return x, found, k

    agrees(f, (1.0,), (3.0,), (0.01,), (100.0,))


def test_break_in_both_branches():
    def f(n: Rep[i64]):
        k = 0
        for i in range(10):
            if i == n:
                k = 1
                break
            elif i > n:
                k = 2
                break
        return k

    agrees(f, *[(k,) for k in range(-2, 12)])


def test_a_loop_without_exits_taken_is_a_for():
    def f(n: Rep[i64], stop: bool):
        s = 0
        for i in range(n):
            if stop:
                break
            s += i
        return s

    assert "for" in staged(f, 3, False) and "while" not in staged(f, 3, False)
    agrees(f, (3, False))


def test_what_a_path_that_has_left_does_not_bind():
    def returns(x: Array[f64, "n"]):
        s = 0.0
        for v in x:
            if v < 0:
                if v < -5:
                    return v
                t = -v
            else:
                t = v * 2
            s += t
        return s

    def mixed(x: Rep[f64]):
        kind = None
        if x > 0:
            if x > 3:
                return x
            kind = 1.5
        else:
            kind = 2.5
        return kind * 2

    def tries(x: Rep[f64]):
        try:
            if x > 0:
                return x
            y = 2.0
        finally:
            z = 1.0
        return y + z

    agrees(returns, *VECTORS, (np.array([1.0, -1.0, -7.0, 2.0]),))
    agrees(mixed, (1.0,), (5.0,), (-1.0,))
    agrees(tries, (1.0,), (-1.0,))


def test_what_a_jump_leaves_unbound_is_found_out_later():
    def f(x: Array[f64, "n"]):
        s = 0.0
        for v in x:
            if v > 2:
                if v > 10:
                    continue
                t = v
            else:
                if v < -1.5:
                    break
                t = -v
            s += t
        return s, t

    agrees(f, *VECTORS, (np.array([11.0, 12.0]),), (np.array([11.0, 4.0, 12.0]),), (np.array([-2.0, 4.0]),))


def test_nesting_as_deep_as_python_allows():
    def loops(n: Rep[i64]):
        s = 0
        for a in range(n):
            for b in range(n):
                for c in range(n):
                    for d in range(n):
                        for e in range(n):
                            for f in range(n):
                                for g in range(n):
                                    for h in range(n):
                                        for i in range(n):
                                            for j in range(n):
                                                for k in range(n):
                                                    for m in range(n):
                                                        if a + b + c + d + e + f > 5:
                                                            s += abs(g + h) + i + j + k + m
                                                            if s > 1000:
                                                                return s
        return s

    agrees(loops, (0,), (1,))

    def choices(n: Rep[i64]):
        if n > 0:
            if n > 1:
                if n > 2:
                    if n > 3:
                        if n > 4:
                            if n > 5:
                                if n > 6:
                                    if n > 7:
                                        if n > 8:
                                            if n > 9:
                                                if n > 10:
                                                    if n > 11:
                                                        if n > 12:
                                                            if n > 13:
                                                                if n > 14:
                                                                    if n > 15:
                                                                        if n > 16:
                                                                            if n > 17:
                                                                                return abs(n)
        return n * 2

    agrees(choices, *[(k,) for k in range(0, 24, 3)])


# ---------------------------------------------------------------------------------------- what is carried


def test_swaps_and_ping_pong_buffers():
    def f(x: Array[f64, "n"], steps: Rep[i64]):
        a, b = x.copy(), np.zeros(len(x))
        for _ in range(steps):
            for i in range(1, len(x) - 1):
                b[i] = 0.5 * (a[i - 1] + a[i + 1])
            a, b = b, a
        return a, b

    agrees(f, *[(np.arange(6.0) ** 2, k) for k in range(4)])


def test_arrays_changed_in_place_are_not_carried():
    def f(a: Mut[Array[f64, "n"]], n: Rep[i64]):
        for i in range(n):
            a[i % len(a)] += i
        return n

    agrees(f, *[(np.zeros(3), k) for k in (0, 2, 9)])
    s = lms.stage(backend="interpret")(f).specialize(np.zeros(3), 2).staged
    (loop,) = [node for node in walk(s.main.body) if node.op.name == "for"]
    assert not loop.results


def test_an_array_that_shrinks():
    def f(x: Array[f64, "n"]):
        s = 0.0
        while x.shape[0] > 1:
            x = x[1:]
            s = s * 2 + x[0]
        return s, x

    agrees(f, *VECTORS)


def test_containers_are_carried_leaf_by_leaf():
    def f(n: Rep[i64]):
        state = {"a": 0, "b": [1, 2.0], "name": "s"}
        for i in range(n):
            state = {"a": state["a"] + i, "b": [state["b"][1], state["b"][0]], "name": "s"}
        return state["a"], state["b"], len(state["name"])

    agrees(f, *COUNTS[:1])
    assert lms.stage(backend="interpret")(f)(3) == (3, [2.0, 1.0], 1)


def test_what_the_loop_does_not_change_is_not_carried():
    def f(x: Rep[f64], n: Rep[i64]):
        k = 5
        y = x
        for i in range(n):
            if i > 3:
                x = x + 1
                y = y
        return x, y, k

    agrees(f, *[(1.5, k) for (k,) in COUNTS])
    s = lms.stage(backend="interpret")(f).specialize(1.0, 2).staged
    (loop,) = [node for node in walk(s.main.body) if node.op.name == "for"]
    assert [v.name for v in loop.results] == ["x"]


def test_read_in_one_iteration_what_the_last_one_wrote():
    def f(x: Array[f64, "n"]):
        before, gaps = 0.0, 0.0
        for v in x:
            if v != before:
                gaps += v - before
            before = v
        return gaps

    agrees(f, *VECTORS)


def test_loops_in_a_row_share_their_variables():
    def f(x: Array[f64, "n"]):
        for i, v in enumerate(x):
            t = i * v
        for v in x[1:]:
            t = v + 1
        if len(x) > 0:
            t = t * 2
        return v, t

    agrees(f, *VECTORS)


def test_ranges_of_later_in_calls():
    def f(n: Rep[i64]):
        return sum(range(n)), len(range(2, n)), sum([i * i for i in range(n)]), np.sum(range(n)), sum(list(range(n)))

    agrees(f, *COUNTS)


def test_comprehensions_that_select():
    def f(x: Array[f64, "n"], n: Rep[i64]):
        some = [v * 2 for v in x if v > 0]
        odd = [i * i for i in range(n) if i % 2 if i > 1 and i != 5]
        rows = [[v, v + 1] for v in x if v != 1]
        count = sum(1 for v in x if v > 2)
        return some, odd, len(some), sum(odd), any(v > 3 for v in x if v < 9), count, sum(row[1] for row in rows)

    staged = lms.stage(backend="interpret")(f)
    for (x,) in VECTORS:
        for n in (0, 1, 9):
            some, odd, *rest = f(x, n)
            found = staged(x, n)
            assert found[0].tolist() == some and found[1].tolist() == odd and list(found[2:]) == rest

    def nothing(x: Array[f64, "n"], keep: bool):
        return len([v for v in x if keep])

    agrees(nothing, (np.ones(3), True), (np.ones(3), False))

    def now(x: Rep[f64]):
        return [x * k for k in (1, 2) if x > k]

    def inside(x: Array[f64, "n"]):
        return [sum(v * k for k in (1, 2) if v > k) for v in x]

    for f in (now, inside):
        points_at(refused(f, 1.0 if f is now else np.ones(3)), f, "x > k" if f is now else "v > k")


def test_numbers_of_python_that_exist_later_adapt_as_numpy_has_it():
    def narrow(x: Array[u8, "n"], n: Rep[i64]):
        out = np.zeros(len(x), dtype=np.uint8)
        for i in range(n):
            out[i % len(x)] = x[i % len(x)] + i * 100
        return out

    def single(x: Array[f32, "n"]):
        s = 0
        for i in range(len(x)):
            s = s + x[i] * i
            s = s * (i / 2)
        return s

    agrees(narrow, (np.array([1, 2, 3], np.uint8), 2), (np.array([1, 2, 3], np.uint8), 6))
    agrees(single, (np.array([1.5, 2, 3], np.float32),))
    assert type(lms.stage(backend="interpret")(single)(np.ones(3, np.float32))) is np.float32


# ------------------------------------------------------------------------------------------------- errors


def test_a_loop_of_now_has_a_budget():
    def f(x: Rep[f64]):
        for i in range(1_000_000):
            x = x + i
        return x

    e = refused(f, 1.0)
    assert e.message == "this loop runs now and would be unrolled 1000000 times"
    assert e.fix == "write `lms.range(1000000)` to make it a loop later, or `lms.unroll(...)` to insist"
    points_at(e, f, "range(1_000_000)")


def test_unroll_insists_and_lms_range_is_a_loop_later():
    def insists(x: Rep[f64]):
        for _ in lms.unroll(range(1100)):
            x = x + 1
        return x

    def loops(x: Rep[f64]):
        for _ in lms.range(1_000_000):
            x = x + 1
        return x

    assert staged(insists, 1.0).count("add") == 1100
    assert staged(loops, 1.0).count("add") == 1


def test_a_loop_of_now_that_stages_nothing_may_be_long():
    def f(x: Rep[f64]):
        primes = [k for k in range(2, 3000) if all(k % j for j in range(2, int(k**0.5) + 1))]
        total = 0
        for k in primes:
            total += k
        return x * total

    agrees(f, (2.0,))


def test_best_is_none():
    def f(n: Rep[i64]):
        best = None
        for i in range(n):
            if i > 2:
                best = i
        return best

    e = refused(f, 3)
    assert isinstance(e, StagingTypeError) and "`found = False; best = 0.0` before" in e.fix
    points_at(e, f, "best")


def test_two_strong_types():
    def f(x: Array[f32, "n"]):
        s = np.float64(0)
        for v in x:
            s = v
        return s

    e = refused(f, np.ones(3, np.float32))
    assert isinstance(e, StagingTypeError) and [note for note, _ in e.notes] == ["here it is f64", "here it is f32"]
    assert all(span is not None for _, span in e.notes)


def test_a_container_that_grows():
    def f(n: Rep[i64]):
        xs = []
        for i in range(n):
            xs = xs + [i]
        return xs

    e = refused(f, 3)
    assert "a list of 0 on one path and a list of 1 on the other" in e.message and "array" in e.fix


def test_falling_off_the_end():
    def f(n: Rep[i64]):
        for i in range(n):
            if i == 2:
                return i

    e = refused(f, 3)
    assert "the result is None on one path" in e.message and e.fix == "return values of one type on every path"


def test_undefined_on_a_path_through_the_body():
    def f(n: Rep[i64]):
        for i in range(n):
            if i > 2:
                t = i
        return t

    assert isinstance(refused(f, 3), UndefinedError)


def test_lists_and_numbers_of_now_in_an_index():
    def f(n: Rep[i64]):
        return [1, 2, 3][n]

    assert isinstance(refused(f, 1), LmsError)


# -------------------------------------------------------------------------------------------- combinators


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
