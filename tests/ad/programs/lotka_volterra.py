"""Hares and lynxes fitted to counts: the classical Runge-Kutta method inside a sum of squares of logarithms."""

import numpy as np

import lms

YEARS = 6
HARES = np.array([30.0, 47.2, 70.2, 77.4, 36.3, 20.6])
LYNXES = np.array([4.0, 6.1, 9.8, 35.2, 59.4, 41.7])


def rates(p, state):
    hares, lynxes = state
    a, b, c, d = p["growth"], p["hunting"], p["hunger"], p["feeding"]
    return a * hares - b * hares * lynxes, d * hares * lynxes - c * lynxes


def step(p, s, h):
    k1 = rates(p, s)
    k2 = rates(p, [x + 0.5 * h * k for x, k in zip(s, k1)])
    k3 = rates(p, [x + 0.5 * h * k for x, k in zip(s, k2)])
    k4 = rates(p, [x + h * k for x, k in zip(s, k3)])
    return [x + h / 6.0 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip(s, k1, k2, k3, k4)]


@lms.stage
def program(p):
    state = [p["hares"], p["lynxes"]]
    loss = 0.0
    for year in lms.range(YEARS):
        loss += (np.log(state[0]) - np.log(HARES[year])) ** 2 + (np.log(state[1]) - np.log(LYNXES[year])) ** 2
        for _ in lms.range(20):
            state = step(p, state, 0.05)
    return loss


POINT = ({"growth": 0.55, "hunting": 0.028, "hunger": 0.84, "feeding": 0.026, "hares": 30.0, "lynxes": 4.0},)
STEP = 1e-4
ANALYTIC = True
