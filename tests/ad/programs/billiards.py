"""A point on a table with a round post: straight flights, mirrored at the cushions and at the post; where it is in the end."""

import math

import lms

RADIUS = 0.5


@lms.stage
def program(x, y, angle, width, height, loss):
    speed = 1.0
    vx, vy = math.cos(angle), math.sin(angle)
    left = 9.0
    while left > 0.0:
        t, hit = left, 0
        if vx > 0.0 and (width - x) / vx < t:
            t, hit = (width - x) / vx, 1
        if vx < 0.0 and (-width - x) / vx < t:
            t, hit = (-width - x) / vx, 1
        if vy > 0.0 and (height - y) / vy < t:
            t, hit = (height - y) / vy, 2
        if vy < 0.0 and (-height - y) / vy < t:
            t, hit = (-height - y) / vy, 2
        b = x * vx + y * vy
        c = x * x + y * y - RADIUS**2
        v2 = vx * vx + vy * vy
        disc = b * b - v2 * c
        if b < 0.0 and disc > 0.0:
            post = (-b - math.sqrt(disc)) / v2
            if 1e-9 < post < t:
                t, hit = post, 3
        x += vx * t
        y += vy * t
        left -= t * speed
        if hit == 1:
            vx = -vx
        elif hit == 2:
            vy = -vy
        elif hit == 3:
            nx, ny = x / RADIUS, y / RADIUS
            along = vx * nx + vy * ny
            vx -= 2.0 * along * nx
            vy -= 2.0 * along * ny
        if hit:
            speed *= loss
    return x + 0.5 * y


POINT = (1.3, 0.4, 2.6, 2.0, 1.5, 1.01)
STEP = 1e-5
