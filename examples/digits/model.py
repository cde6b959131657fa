"""A small network for 8x8 digits, and one epoch of training it: ordinary Python, staged as a whole.

`epoch` is one native program: the loop over the minibatches, the gradient of `loss` in each, and the update of the
parameters in place. The number of images, the batch size and the learning rate are all decided at run time.
"""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Mut, Rep, f64, i64

Params = dict[str, np.ndarray]


def initial(seed: int, hidden: int = 64) -> Params:
    """Random parameters of a network with one hidden layer."""
    rng = np.random.default_rng(seed)
    return {
        "w1": rng.normal(size=(64, hidden)) / 8.0,
        "b1": np.zeros(hidden),
        "w2": rng.normal(size=(hidden, 10)) / np.sqrt(hidden),
        "b2": np.zeros(10),
    }


@lms.stage
def scores(params: Params, images: Rep[Array[f64, "n", 64]]) -> Rep[Array[f64, "n", 10]]:
    """The log-odds of each class, a row for each image."""
    hidden = np.tanh(images @ params["w1"] + params["b1"])
    return hidden @ params["w2"] + params["b2"]


@lms.stage
def loss(params: Params, images: Rep[Array[f64, "n", 64]], labels: Rep[Array[i64, "n"]]) -> Rep[f64]:
    """The mean negative log-likelihood of the labels."""
    z = scores(params, images)
    total = 0.0
    for i in range(len(labels)):
        total += lms.logsumexp(z[i]) - z[i, labels[i]]
    return total / len(labels)


@lms.stage
def epoch(
    params: Mut[Params],
    speed: Mut[Params],
    images: Rep[Array[f64, "n", 64]],
    labels: Rep[Array[i64, "n"]],
    order: Rep[Array[i64, "n"]],
    rate: Rep[f64],
    batch: Rep[i64],
) -> Rep[f64]:
    """One pass over the images in the given order, by stochastic gradient descent with momentum; gives the mean loss."""
    total, steps = 0.0, 0
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start : start + batch]
        value, slope = lms.value_and_grad(loss)(params, images[rows], labels[rows])
        for name in params:  # known now: unrolled
            speed[name][...] = 0.9 * speed[name] - rate * slope[name]
            params[name][...] += speed[name]
        total += value
        steps += 1
    return total / steps


@lms.stage
def accuracy(params: Params, images: Rep[Array[f64, "n", 64]], labels: Rep[Array[i64, "n"]]) -> Rep[f64]:
    """The share of images whose highest score is their label's."""
    guesses = np.argmax(scores(params, images), axis=1)
    return np.mean(guesses == labels)
