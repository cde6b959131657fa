"""An American put by a binomial lattice: at every node the better of holding and exercising."""

import math

import numpy as np

import lms


@lms.stage
def program(spot, strike, rate, volatility, years):
    steps = 30
    dt = years / steps
    up = math.exp(volatility * math.sqrt(dt))
    down = 1.0 / up
    p = (math.exp(rate * dt) - down) / (up - down)
    discount = math.exp(-rate * dt)
    values = np.zeros(steps + 1)
    for j in lms.range(steps + 1):
        values[j] = max(strike - spot * up**j * down ** (steps - j), 0.0)
    for i in lms.range(steps - 1, -1, -1):
        for j in range(i + 1):
            hold = discount * (p * values[j + 1] + (1.0 - p) * values[j])
            exercise = strike - spot * up**j * down ** (i - j)
            if exercise > hold:
                values[j] = exercise
            else:
                values[j] = hold
    return values[0]


POINT = (100.3, 104.0, 0.04, 0.25, 0.8)
STEP = 1e-4
