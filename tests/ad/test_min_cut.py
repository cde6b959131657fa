"""The cheapest cut of small networks, against all there are."""

from __future__ import annotations

import time
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lms.ad.residuals.min_cut import INFINITE, Network

Arcs = list[tuple[int, int, int]]


def network(n: int, arcs: Arcs) -> Network:
    made = Network()
    for _ in range(n):
        made.node()
    for tail, head, capacity in arcs:
        made.arc(tail, head, capacity)
    return made


def price(side: set[int], arcs: Arcs) -> int:
    return sum(capacity for tail, head, capacity in arcs if tail in side and head not in side)


@st.composite
def small(draw: st.DrawFn) -> tuple[int, Arcs]:
    n = draw(st.integers(2, 7))
    node = st.integers(0, n - 1)
    return n, draw(st.lists(st.tuples(node, node, st.sampled_from((0, 1, 2, 3, 5, 8, 13, INFINITE))), max_size=14))


@settings(max_examples=300)
@given(small())
def test_no_cut_is_cheaper_and_no_cheapest_one_smaller(drawn: tuple[int, Arcs]) -> None:
    n, arcs = drawn
    cost, side = network(n, arcs).cut(0, 1)
    sides = [{0, *chosen} for k in range(n - 1) for chosen in combinations(range(2, n), k)]
    least = min(price(each, arcs) for each in sides)
    if least >= INFINITE:
        assert cost >= INFINITE
        return
    assert cost == least == price(side, arcs)
    assert 0 in side and 1 not in side
    assert all(side <= each for each in sides if price(each, arcs) == least)


def test_a_chain_is_cut_where_it_is_thinnest() -> None:
    arcs = [(0, 2, 5), (2, 3, 2), (3, 4, 7), (4, 1, 3)]
    assert network(5, arcs).cut(0, 1) == (2, {0, 2})


def test_a_large_ladder_takes_little_time() -> None:
    """Thousands of values, each made of the two before it, in chains of a dozen."""
    n = 6000
    arcs: Arcs = [(0, k, INFINITE) for k in range(2, n, 3)]
    for k in range(2, n):
        arcs += [(k, 1, 2 + k % 7), *((k, j, INFINITE) for j in (k - 1, k - 2) if j > max(1, k - k % 12))]
    start = time.perf_counter()
    cost, side = network(n, arcs).cut(0, 1)
    assert cost == price(side, arcs)
    assert time.perf_counter() - start < 5.0
