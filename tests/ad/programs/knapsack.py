"""What to pack, softened: the best value of a knapsack by recursion over items and room, remembered in a dictionary."""

import numpy as np

import lms

WEIGHTS = [2, 3, 4, 5, 7]
ROOM = 11


@lms.stage
def program(values, temperature):
    known = {}

    def best(item, room):
        if item == len(WEIGHTS):
            return 0.0
        if (item, room) not in known:
            without = best(item + 1, room)
            if WEIGHTS[item] > room:
                known[item, room] = without
            else:
                taking = values[item] + best(item + 1, room - WEIGHTS[item])
                known[item, room] = temperature * np.logaddexp(without / temperature, taking / temperature)
        return known[item, room]

    return best(0, ROOM)


POINT = (np.array([3.0, 4.1, 5.3, 8.2, 10.4]), 0.7)
