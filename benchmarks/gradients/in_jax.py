"""The gradients in JAX, as its users write them: array expressions, and `scan` where there is a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..peers import peer


def contenders() -> dict[str, Callable[..., Callable[[], Any]]]:
    """By eval: what takes the arguments of our gradient and gives a call without any, whose result is the gradient."""
    jax = peer("jax")
    if jax is None:
        return {}
    jnp, special = jax.numpy, jax.scipy.special

    def of(gradient: Callable[..., Any], static: tuple[int, ...] = ()) -> Callable[..., Callable[[], Any]]:
        compiled = jax.jit(gradient, static_argnums=static)

        def given(*args: Any) -> Callable[[], Any]:
            ready = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
            return lambda: jax.block_until_ready(compiled(*ready))

        return given

    def llsq(x: Any, n: int) -> Any:
        t = -1 + jnp.arange(n) * 2 / (n - 1)
        powers = t[:, None] ** jnp.arange(len(x))[None, :]
        return 0.5 * jnp.sum((jnp.sign(t) - powers @ x) ** 2)

    def lse(x: Any) -> Any:
        top = jnp.max(x)
        return top + jnp.log(jnp.sum(jnp.exp(x - top)))

    def ode(x: Any, s: int) -> Any:
        h = 2.0 / s

        def slope(y: Any) -> Any:
            return x * jnp.concatenate([jnp.ones(1), y[:-1]])

        def step(y: Any, _: Any) -> Any:
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return jax.lax.scan(step, jnp.zeros_like(x), None, length=s)[0][-1]

    def lstm(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
        layers, bits = len(main) // 2, sequence.shape[1]
        gates = main.reshape(layers, 2, 4, bits)

        def step(carry: Any, pair: Any) -> Any:
            (hidden, cell), (now, gold) = carry, pair
            hiddens, cells, x = [], [], now * extra[0]
            for k in range(layers):
                weight, bias = gates[k]
                forget, into = jax.nn.sigmoid(x * weight[0] + bias[0]), jax.nn.sigmoid(hidden[k] * weight[1] + bias[1])
                outof, change = jax.nn.sigmoid(x * weight[2] + bias[2]), jnp.tanh(hidden[k] * weight[3] + bias[3])
                cells.append(cell[k] * forget + into * change)
                x = outof * jnp.tanh(cells[-1])
                hiddens.append(x)
            guess = x * extra[1] + extra[2]
            loss = jnp.sum(gold * (guess - jnp.log(jnp.sum(jnp.exp(guess)) + 2)))
            return (jnp.stack(hiddens), jnp.stack(cells)), loss

        losses = jax.lax.scan(step, (state[0::2], state[1::2]), (sequence[:-1], sequence[1:]))[1]
        return -jnp.sum(losses) / ((len(sequence) - 1) * bits)

    def gmm(alpha: Any, means: Any, icf: Any, x: Any, gamma: float, m: int) -> Any:
        n, d = x.shape
        q, below = icf[:, :d], icf[:, d:]
        columns, rows = np.triu_indices(d, 1)
        factors = jnp.zeros((len(alpha), d, d)).at[:, rows, columns].set(below)
        centred = x[:, None, :] - means
        y = jnp.exp(q) * centred + jnp.einsum("kij,nkj->nki", factors, centred)
        logs = alpha + jnp.sum(q, axis=1) - 0.5 * jnp.sum(y ** 2, axis=2)
        prior = 0.5 * gamma ** 2 * (jnp.sum(jnp.exp(q) ** 2) + jnp.sum(below ** 2)) - m * jnp.sum(q)
        return jnp.sum(special.logsumexp(logs, axis=1)) - n * special.logsumexp(alpha) - prior

    def residual(camera: Any, point: Any, weight: Any, seen: Any) -> Any:
        turn, x = camera[:3], point - camera[3:6]
        angle = jnp.sqrt(jnp.sum(turn ** 2))
        axis = turn / angle
        x = x * jnp.cos(angle) + jnp.cross(axis, x) * jnp.sin(angle) + axis * (axis @ x * (1 - jnp.cos(angle)))
        flat = x[:2] / x[2]
        r2 = jnp.sum(flat ** 2)
        return weight * (flat * (1 + camera[9] * r2 + camera[10] * r2 ** 2) * camera[6] + camera[7:9] - seen)

    def ba(cameras: Any, points: Any, weights: Any, seen: Any, pairs: Any) -> Any:
        blocks = jax.vmap(jax.jacrev(residual, argnums=(0, 1, 2)))
        by_all = blocks(cameras[pairs[:, 0]], points[pairs[:, 1]], weights, seen)
        return jnp.concatenate([*by_all[:2], by_all[2][..., None]], axis=2), -2 * weights

    return {
        "llsq": of(jax.grad(llsq), (1,)), "lse": of(jax.grad(lse)), "ode": of(jax.grad(ode), (1,)),
        "lstm scan": of(jax.grad(lstm, (0, 1))), "gmm": of(jax.grad(gmm, (0, 1, 2))), "ba": of(ba),
    }
