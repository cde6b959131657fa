"""A plant grown by an L-system: a string rewritten by rules, drawn by a turtle with a stack; how far it reaches into the light."""

import math

import lms

RULES = {"X": "F[+X][-X]FX", "F": "FF"}


def rewrite(word, times):
    for _ in range(times):
        word = "".join(RULES.get(c, c) for c in word)
    return word


@lms.stage
def program(angle, length, shrink, bend):
    x, y, heading = 0.0, 0.0, math.pi / 2
    step = length
    stack = []
    reach = 0.0
    for c in rewrite("X", 3):
        if c == "F":
            heading += bend * math.cos(heading)
            x += step * math.cos(heading)
            y += step * math.sin(heading)
        elif c == "+":
            heading += angle
        elif c == "-":
            heading -= angle
        elif c == "[":
            stack.append((x, y, heading, step))
            step = step * shrink
        elif c == "]":
            reach += y - 0.1 * x * x
            x, y, heading, step = stack.pop()
    return reach


POINT = (0.4, 0.3, 0.8, 0.05)
