"""Containers: taken apart with paths, put together again."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest

import lms
from lms.staging import trees

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Layer:
    w: object
    b: object

    def __post_init__(self):
        assert self.w is not None, "made without __init__"


CONTAINERS = [1, [1, 2], (1, (2, 3)), {"a": 1,
"b": [2]}, Point(1, [2]), Layer(1, 2), {"l": [Layer(1, Point(2, 3))], 3: ()}, [], None]


@pytest.mark.parametrize("x", CONTAINERS, ids=repr)
def test_round_trip(x):
    leaves, shape = trees.flatten(x)
    assert trees.unflatten(shape, leaves) == x
    assert trees.size(shape) == len(leaves)
    assert hash(shape) == hash(trees.flatten(x)[1])


def test_paths_are_python():
    _, shape = trees.flatten({"w": [1, 2], "p": Point(3, Layer(4, 5)), 7: 6})
    assert list(trees.paths(shape, "q")) == ["q['w'][0]", "q['w'][1]", "q['p'].x", "q['p'].y.w", "q['p'].y.b", "q[7]"]


def test_map_and_rebuild_without_init():
    doubled = trees.map_leaves(lambda x, y: x + y, Layer(1, [2]), Layer(10, [20]))
    assert doubled == Layer(11, [22])
    assert trees.map_leaves(lambda x: None, Layer(1, 2)).w is None


def test_registered_classes_travel():
    class Box:
        def __init__(self, content, label):
            self.content, self.label = content, label

    trees.register(Box, lambda b: ([b.content], b.label), lambda label, parts: Box(parts[0], label))

    @lms.stage
    def f(b):
        return Box(b.content * 2, b.label + "!")

    out = f(Box(2.0, "a"))
    assert (out.content, out.label) == (4.0, "a!")
    assert lms.grad(lambda b: b.content**2)(Box(3.0, "b")).content == 6.0


def test_subclasses_of_containers_are_leaves():
    leaves, _ = trees.flatten([OrderedDict(a=1)])
    assert leaves == [OrderedDict(a=1)]
