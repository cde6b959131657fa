"""What loops carry and what it becomes; comprehensions; the errors of loops."""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Mut, Rep, f32, f64, i64, u8
from lms.core.errors import LmsError, StagingTypeError, UndefinedError
from lms.core.ir import walk
from tests.support.differential import COUNTS, VECTORS, agrees, operations, points_at, refused


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


def test_functions_of_an_iteration_are_carried_where_a_call_reads_them():
    def stops(s: Rep[f64], x: Rep[Array[f64, "n"]], k: Rep[i64]):
        for v in x:
            if v < 0.0:
                break

            def scaled(u):
                return u * v  # noqa: B023  # called in its iteration

            for _ in range(k, 0, -1):
                s = scaled(s)
                twice = lambda u: scaled(scaled(u))  # noqa: E731  # the form that is tested
                s = twice(s)
        return s

    def late(s: Rep[f64], x: Rep[Array[f64, "n"]], k: Rep[i64]):
        a, b = 1.0, 2.0
        read = lambda: a * s  # noqa: E731  # the form that is tested
        again = lambda: read() + b  # noqa: E731  # the form that is tested
        for v in x:
            a += v
            if a > 3.0:
                break
            s = s + read()
        if k > 1:
            b, a = a, 0.5
        return again()

    def around(s: Rep[f64], x: Rep[Array[f64, "n"]], k: Rep[i64]):
        def last():
            return w + 1.0

        w = s
        total = 0.0
        for v in x:
            if v > 2.5:
                continue
            total += last()  # what the iteration before has left
            w = v * k
        return total + last()

    def makes(s: Rep[f64], x: Rep[Array[f64, "n"]], k: Rep[i64]):
        a = s

        def make():
            return lambda: a * 2.0

        read = make()
        for v in x:
            a = a + v
        return read()

    for f in (stops, late, around, makes):
        agrees(f, *[(0.5, np.array(x), k) for x in ([1.0, 2.0, 3.0], [2.0, -1.0], []) for k in (0, 1, 2)])


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

    assert operations(insists, 1.0).count("add") == 1100
    assert operations(loops, 1.0).count("add") == 1


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
