"""Sums of records: trees and lists of Python objects, converted both ways, matched and built in staged code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.staging.records import from_record, record_type, to_record


@dataclass(frozen=True)
class Leaf:
    value: float


@dataclass(frozen=True)
class Node:
    left: Tree
    right: Tree


Tree = Leaf | Node


@dataclass
class Cons:
    head: int
    tail: Cons | None


@dataclass
class Layer:
    w: Rep[Array[f64, "n"]]
    next: Layer | None


def chain(n):
    out = None
    for k in range(n):
        out = Cons(k, out)
    return out


def test_conversion_both_ways_keeps_sharing():
    t = record_type(Tree)
    shared = Node(Leaf(1.0), Leaf(2.0))
    record = to_record(Node(shared, shared), t)
    assert record.fields[0] is record.fields[1]
    back = from_record(record)
    assert back == Node(shared, shared) and back.left is back.right


def test_depth_100_000():
    t = record_type(Cons | None)
    deep = chain(100_000)
    back = from_record(to_record(deep, t))
    n = 0
    while back is not None:
        n, back = n + 1, back.tail
    assert n == 100_000


def test_a_cycle_is_an_error():
    loop = Cons(1, None)
    loop.tail = loop
    with pytest.raises(lms.StagingError, match="cycle"):
        to_record(loop, record_type(Cons | None))


def test_fields_are_checked():
    with pytest.raises(TypeError, match="field 'value' of Leaf is f64"):
        to_record(Leaf("x"), record_type(Tree))
    with pytest.raises(TypeError, match="Leaf or Node is expected"):
        to_record(Node(Leaf(1.0), 3), record_type(Tree))


BACKENDS = ["interpret", "llvm"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_match_on_a_tree(backend):
    @lms.stage(backend=backend)
    def total(t: Rep[Tree]) -> Rep[f64]:
        match t:
            case Leaf(value):
                return value
            case Node(left, right):
                return total(left) + total(right)

    assert total(Node(Node(Leaf(1.0), Leaf(2.0)), Leaf(4.0))) == 7.0
    assert total(Leaf(3.0)) == 3.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_isinstance_and_attributes(backend):
    @lms.stage(backend=backend)
    def depth(t: Rep[Tree]) -> Rep[i64]:
        if isinstance(t, Leaf):
            return 1
        return 1 + max(depth(t.left), depth(t.right))

    assert depth(Node(Node(Leaf(1.0), Leaf(2.0)), Leaf(4.0))) == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_field_of_another_alternative_is_a_type_error(backend):
    @lms.stage(backend=backend)
    def f(t: Rep[Tree]) -> Rep[f64]:
        return t.value

    assert f(Leaf(2.0)) == 2.0
    with pytest.raises(TypeError, match="only Leaf has a field 'value'"):
        f(Node(Leaf(1.0), Leaf(2.0)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_records_are_built_and_returned(backend):
    @lms.stage(backend=backend)
    def double(t: Rep[Tree]) -> Rep[Tree]:
        match t:
            case Leaf(value):
                return Leaf(2 * value)
            case Node(left, right):
                return Node(double(right), double(left))

    assert double(Node(Leaf(1.0), Leaf(2.0))) == Node(Leaf(4.0), Leaf(2.0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_list_in_a_loop(backend):
    @lms.stage(backend=backend)
    def length(xs: Rep[Cons | None]) -> Rep[i64]:
        n = 0
        while xs is not None:
            n += xs.head
            xs = xs.tail
        return n

    assert length(chain(5)) == 10
    assert length(None) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_in_records(backend):
    @lms.stage(backend=backend)
    def total(layer: Rep[Layer | None]) -> Rep[f64]:
        if layer is None:
            return 0.0
        return layer.w.sum() + total(layer.next)

    assert total(Layer(np.ones(3), Layer(np.arange(4.0), None))) == 9.0


def test_a_field_that_cannot_be_staged():
    @dataclass
    class Bad:
        name: str
        next: Bad | None

    with pytest.raises(lms.StagingError, match="'name' of Bad"):
        record_type(Bad | None)
