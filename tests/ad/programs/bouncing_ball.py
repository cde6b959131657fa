"""A ball thrown onto a floor: between bounces it flies a parabola, at each it loses speed; where is it at the end?"""

import numpy as np

import lms


@lms.stage
def program(height, vx, restitution, friction):
    gravity = 9.81
    end = 3.0
    x, y, vy = 0.0, height, 0.0
    t = 0.0
    bounces = 0
    while True:
        impact = (vy + np.sqrt(vy * vy + 2.0 * gravity * y)) / gravity
        if t + impact >= end or bounces > 20:
            break
        t += impact
        x += vx * impact
        y = 0.0
        vy = -restitution * (vy - gravity * impact)
        vx = (1.0 - friction) * vx
        bounces += 1
    rest = end - t
    x += vx * rest
    y += vy * rest - 0.5 * gravity * rest**2
    return x + 2.0 * y


POINT = (1.7, 2.0, 0.8, 0.1)
