"""The gradients in PyTorch, where its users would: as array expressions, run eagerly. A loop of 4,096 steps takes it seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..peers import peer


def contenders() -> dict[str, Callable[..., Callable[[], Any]]]:
    """By eval: what takes the arguments of our gradient and gives a call without any, whose result is the gradient."""
    torch = peer("torch")
    if torch is None:
        return {}

    def of(f: Callable[..., Any], wrt: int) -> Callable[..., Callable[[], Any]]:
        def given(*args: Any) -> Callable[[], Any]:
            tensors = [torch.tensor(a, requires_grad=k < wrt) if isinstance(a, np.ndarray) else a for k, a in enumerate(args)]

            def run() -> Any:
                return tuple(part.numpy() for part in torch.autograd.grad(f(*tensors), tensors[:wrt]))

            return run

        return given

    def llsq(x: Any, n: int) -> Any:
        t = torch.linspace(-1, 1, n, dtype=torch.float64)
        powers = t[:, None] ** torch.arange(len(x))
        return 0.5 * torch.sum((torch.sign(t) - powers @ x) ** 2)

    def lse(x: Any) -> Any:
        top = torch.max(x)
        return top + torch.log(torch.sum(torch.exp(x - top)))

    def ode(x: Any, s: int) -> Any:
        h, one = 2.0 / s, torch.ones(1, dtype=torch.float64)

        def slope(y: Any) -> Any:
            return x * torch.cat([one, y[:-1]])

        y = torch.zeros_like(x)
        for _ in range(s):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y[-1]

    def gmm(alpha: Any, means: Any, icf: Any, x: Any, gamma: float, m: int) -> Any:
        n, d = x.shape
        q, below = icf[:, :d], icf[:, d:]
        columns, rows = np.triu_indices(d, 1)
        factors = torch.zeros(len(alpha), d, d, dtype=torch.float64)
        factors[:, rows, columns] = below
        centred = x[:, None, :] - means
        y = torch.exp(q) * centred + torch.einsum("kij,nkj->nki", factors, centred)
        logs = alpha + q.sum(1) - 0.5 * (y ** 2).sum(2)
        prior = 0.5 * gamma ** 2 * ((torch.exp(q) ** 2).sum() + (below ** 2).sum()) - m * q.sum()
        return torch.logsumexp(logs, 1).sum() - n * torch.logsumexp(alpha, 0) - prior

    return {"llsq": of(llsq, 1), "lse": of(lse, 1), "ode": of(ode, 1), "gmm": of(gmm, 3)}
