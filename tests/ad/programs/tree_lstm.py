"""The sentiment of a parsed sentence: a network that is as deep as the tree, with gates that forget each child on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import lms
from lms import Array, Rep, f64


@dataclass(frozen=True)
class Word:
    index: int


@dataclass(frozen=True)
class Phrase:
    left: Tree
    right: Tree


Tree = Word | Phrase


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


@lms.stage
def encode(tree: Rep[Tree], params) -> Rep[Array[f64, 2, 3]]:
    match tree:
        case Word(index):
            x = params["embedding"][index]
            c = np.tanh(params["leaf"] @ x)
            return np.stack([np.tanh(c), c])
        case Phrase(left, right):
            a, b = encode(left, params), encode(right, params)
            h = np.concatenate([a[0], b[0]])
            gates = params["gates"] @ h
            i, f, g, u = gates[0:3], gates[3:6], gates[6:9], gates[9:12]
            c = sigmoid(i) * np.tanh(u) + sigmoid(f) * a[1] + sigmoid(g) * b[1]
            return np.stack([np.tanh(c), c])


@lms.stage
def program(params, tree: Rep[Tree]):
    h = encode(tree, params)[0]
    scores = params["out"] @ h
    return np.log(np.sum(np.exp(scores))) - scores[1]


rng = np.random.default_rng(11)
POINT = (
    {
        "embedding": rng.normal(size=(4, 2)),
        "leaf": rng.normal(size=(3, 2)),
        "gates": rng.normal(size=(12, 6)) * 0.5,
        "out": rng.normal(size=(2, 3)),
    },
    Phrase(Phrase(Word(0), Phrase(Word(1), Word(2))), Phrase(Word(3), Word(1))),
)
WRT = (0,)
