"""`break`, `continue` and `return` from anywhere; what the paths that leave need not bind."""

from __future__ import annotations

import numpy as np

from lms import Array, Rep, f64, i64
from tests.support.differential import VECTORS, agrees, operations


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

    assert "for" in operations(f, 3, False) and "while" not in operations(f, 3, False)
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
