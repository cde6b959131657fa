"""Simulated annealing of a tour with moves drawn beforehand: the temperature falls, and worse tours are taken less and less."""

import numpy as np

import lms

rng = np.random.default_rng(18)
CITIES = 7
MOVES = np.sort(rng.integers(1, CITIES, size=(80, 2)), axis=1)
LUCK = rng.uniform(size=80)


def tour_length(points, order):
    total = 0.0
    for k in range(len(order)):
        d = points[order[k]] - points[order[k - 1]]
        total += np.sqrt(d[0] ** 2 + d[1] ** 2)
    return total


@lms.stage
def program(points, start_temperature, cooling):
    order = np.arange(CITIES)
    length = tour_length(points, order)
    temperature = start_temperature
    accepted = 0.0
    for step in lms.range(len(MOVES)):
        i, j = MOVES[step]
        new = order.copy()
        new[i : j + 1] = order[i : j + 1][::-1]
        new_length = tour_length(points, new)
        chance = np.exp(-(new_length - length) / temperature)
        if chance > LUCK[step]:
            order, length = new, new_length
            accepted += temperature
        temperature *= cooling
    return length + 0.01 * accepted


POINT = (rng.uniform(size=(CITIES, 2)), 0.5, 0.95)
STEP = 1e-5
