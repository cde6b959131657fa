"""A long short-term memory with diagonal weights that predicts the next character's bits (ADBench's LSTM)."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64

from .protocol import Eval, Function


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


@lms.stage
def objective(main: Rep[Array[f64, "l2", "b4"]], extra: Rep[Array[f64, 3, "b"]], state: Rep[Array[f64, "l2", "b"]],
              sequence: Rep[Array[f64, "c", "b"]]) -> Rep[f64]:
    """`main` has a row of weights and one of biases a layer, `state` a row for the output and one for the cell."""
    characters, b = sequence.shape
    state = state.copy()
    total = 0.0
    for t in range(characters - 1):
        x = sequence[t] * extra[0]
        for layer in range(len(main) // 2):
            weight, bias = main[2 * layer], main[2 * layer + 1]
            hidden, cell = state[2 * layer], state[2 * layer + 1]
            forget = sigmoid(x * weight[:b] + bias[:b])
            ingate = sigmoid(hidden * weight[b:2 * b] + bias[b:2 * b])
            outgate = sigmoid(x * weight[2 * b:3 * b] + bias[2 * b:3 * b])
            change = np.tanh(hidden * weight[3 * b:] + bias[3 * b:])
            new = cell * forget + ingate * change
            x = outgate * np.tanh(new)
            state[2 * layer] = x
            state[2 * layer + 1] = new
        prediction = x * extra[1] + extra[2]
        normal = prediction - np.log(np.sum(np.exp(prediction)) + 2.0)
        total += np.sum(sequence[t + 1] * normal)
    return -total / ((characters - 1) * b)


gradients = lms.grad(objective, argnums=("main", "extra"))


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(np.array(data[name], dtype=float) for name in ("main_params", "extra_params", "state", "sequence"))


def flat(gradient: tuple[np.ndarray, ...]) -> list[float]:
    return np.concatenate([part.ravel() for part in gradient]).tolist()


def generate(layers: int, characters: int, bits: int = 14, seed: int = 31337) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"main_params": rng.random((2 * layers, 4 * bits)).tolist(), "extra_params": rng.random((3, bits)).tolist(),
            "state": rng.random((2 * layers, bits)).tolist(),
            "sequence": rng.integers(0, 2, (characters, bits)).astype(float).tolist()}


EVAL = Eval(
    {
        "objective": Function(arguments, objective, float),
        "jacobian": Function(arguments, gradients, flat),
    },
    smallest=generate(2, 3, 2),
)
