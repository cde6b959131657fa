"""A walk in the manner of Collatz on real numbers: halved where the floor is even, else grown; how long and how high it goes."""

import math

import lms


@lms.stage
def program(start, grow, add):
    x = start
    total = 0.0
    steps = 0
    while x > 1.5 and steps < 200:
        if int(math.floor(x)) % 2 == 0:
            x = 0.5 * x
        else:
            x = grow * x + add
        total += math.log(x)
        steps += 1
    return total / steps + x


POINT = (11.3, 1.45, 1.05)
STEP = 1e-6
