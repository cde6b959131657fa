"""A reader of numbers and words, character by character, as a machine with states; the score of what it read under learned weights."""

import numpy as np

import lms

TEXT = "x1 = 3.25 * (alpha + 12) - y / 0.5 "
START, NUMBER, FRACTION, NAME = range(4)


def kind(c):
    return 0 if c.isdigit() else 1 if c == "." else 2 if c.isalpha() else 3 if c.isspace() else 4


@lms.stage
def program(weights, discount, curvature):
    text = np.array([[kind(c), ord(c) - ord("0") if c.isdigit() else ord(c) % 8] for c in TEXT])
    state = START
    number, place, score, length = 0.0, 1.0, 0.0, 0
    for k in lms.range(len(text)):
        what, value = text[k]
        if state == NUMBER or state == FRACTION:
            if what == 0:
                if state == NUMBER:
                    number = 10.0 * number + value
                else:
                    place *= 0.1
                    number += place * value
                continue
            if what == 1 and state == NUMBER:
                state = FRACTION
                continue
            score = discount * score + np.tanh(curvature * number)
            state = START
        if state == NAME:
            if what == 2 or what == 0:
                length += 1
                score += weights[value] / length
                continue
            state = START
        if what == 0:
            number, place, state = float(value), 1.0, NUMBER
        elif what == 2:
            length, state = 1, NAME
            score = discount * score + weights[value]
        elif what == 4:
            score *= discount
    return score


POINT = (np.array([0.3, -0.2, 0.5, 0.1, 0.9, -0.4, 0.2, 0.7, 0.6, -0.1]), 0.9, 0.3)
