"""A ridge regression solved by conjugate gradients inside the loss that chooses its penalty: the error on held-out data."""

import numpy as np

import lms


def solve(A, b, tolerance):
    x = np.zeros_like(b)
    r = b - A @ x
    p = r.copy()
    rr = r @ r
    for k in range(2 * len(b)):
        Ap = A @ p
        step = rr / (p @ Ap)
        x += step * p
        r -= step * Ap
        new = r @ r
        if np.sqrt(new) < tolerance:
            break
        p = r + new / rr * p
        rr = new
    return x


@lms.stage
def program(log_penalty, scales, X, y, X_out, y_out):
    Z = X * scales
    A = Z.T @ Z + np.exp(log_penalty) * np.eye(len(scales))
    w = solve(A, Z.T @ y, 1e-12)
    return np.mean((X_out * scales @ w - y_out) ** 2)


rng = np.random.default_rng(10)
POINT = (-0.5, np.array([1.0, 0.7, 1.4, 0.9]), rng.normal(size=(9, 4)), rng.normal(size=9), rng.normal(size=(5, 4)), rng.normal(size=5))
WRT = (0, 1, 3)
