"""Moving earth: the entropic cost of carrying one histogram into another, by Sinkhorn's scaling until the rows agree."""

import numpy as np

import lms


@lms.stage
def program(points, targets, supply, demand, temperature):
    supply, demand = supply / supply.sum(), demand / demand.sum()
    cost = (points[:, None] - targets[None, :]) ** 2
    K = np.exp(-cost / temperature)
    u, v = np.ones_like(supply), np.ones_like(demand)
    error = 1.0
    while error > 1e-12:
        u = supply / (K @ v)
        v = demand / (K.T @ u)
        error = np.abs(u * (K @ v) - supply).max()
    return np.sum(u[:, None] * K * v[None, :] * cost)


POINT = (
    np.array([0.0, 0.5, 1.1, 2.0]),
    np.array([0.2, 0.9, 1.5]),
    np.array([1.0, 2.0, 0.7, 1.3]),
    np.array([1.5, 1.0, 2.0]),
    0.6,
)
STEP = 1e-4
