"""A stack machine that interprets a formula given as an array of codes: its constants are learned, its program is data."""

import numpy as np

import lms

PUSH, LOAD, ADD, MUL, SUB, SIN, DUP, SWAP, JUMP_IF_SMALL, HALT = range(10)

#         x   x*c0   sin      x c1 + ...     loop: multiply by c2 until it is not small
CODE = np.array([
    LOAD, 0, PUSH, 0, MUL, 0, SIN, 0, LOAD, 1, PUSH, 1, ADD, 0, MUL, 0, DUP, 0, SUB, 0, LOAD, 0, ADD, 0,
    PUSH, 2, MUL, 0, DUP, 0, JUMP_IF_SMALL, 12, LOAD, 1, SWAP, 0, SUB, 0, HALT, 0,
])


@lms.stage
def program(constants, inputs):
    stack = np.zeros(8)
    top = 0
    at = 0
    while True:
        code, argument = CODE[2 * at], CODE[2 * at + 1]
        at += 1
        if code == PUSH:
            stack[top] = constants[argument]
            top += 1
        elif code == LOAD:
            stack[top] = inputs[argument]
            top += 1
        elif code == ADD:
            top -= 1
            stack[top - 1] += stack[top]
        elif code == MUL:
            top -= 1
            stack[top - 1] *= stack[top]
        elif code == SUB:
            top -= 1
            stack[top - 1] -= stack[top]
        elif code == SIN:
            stack[top - 1] = np.sin(stack[top - 1])
        elif code == DUP:
            stack[top] = stack[top - 1]
            top += 1
        elif code == SWAP:
            stack[top - 1], stack[top - 2] = stack[top - 2], stack[top - 1]
        elif code == JUMP_IF_SMALL:
            top -= 1
            if abs(stack[top]) < 10.0:
                at = argument
        else:
            break
    return stack[0] + 0.1 * stack[1] ** 2


POINT = (np.array([0.7, 1.3, 1.9]), np.array([0.8, -0.4]))
