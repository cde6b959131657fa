"""A picture of a blob on a floor by sphere tracing of a signed distance: the light that reaches a small camera."""

import numpy as np

import lms


def distance(p, radius, blend):
    ball = np.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2) - radius
    bump = np.sqrt((p[0] - 0.6) ** 2 + (p[1] - 0.3) ** 2 + p[2] ** 2) - 0.5 * radius
    h = max(blend - abs(ball - bump), 0.0) / blend
    blob = min(ball, bump) - h * h * blend / 4.0
    return min(blob, p[1] + 1.0)


@lms.stage
def program(camera, radius, blend, light):
    light = light / np.linalg.norm(light)
    total = 0.0
    for row in lms.range(4):
        for column in lms.range(4):
            d = np.array([(column - 1.5) / 3.0, (row - 1.5) / 3.0, -1.0])
            d = d / np.linalg.norm(d)
            t = 0.0
            hit = False
            for _ in lms.range(60):
                gap = distance(camera + t * d, radius, blend)
                if gap < 1e-9:
                    hit = True
                    break
                if t > 20.0:
                    break
                t += gap
            if hit:
                p = camera + t * d
                e = 1e-4
                normal = np.zeros(3)
                for axis in range(3):
                    offset = np.zeros(3)
                    offset[axis] = e
                    normal[axis] = distance(p + offset, radius, blend) - distance(p - offset, radius, blend)
                normal = normal / np.linalg.norm(normal)
                total += max(0.1, normal @ light) * np.exp(-0.1 * t)
    return total


POINT = (np.array([0.1, 0.2, 3.0]), 0.8, 0.2, np.array([0.5, 1.0, 0.7]))
STEP = 1e-5
