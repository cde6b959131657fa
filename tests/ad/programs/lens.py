"""A doublet of glass: rays are traced through its surfaces by Snell's law, and the loss is the spread of where they meet the film."""

from dataclasses import dataclass

import numpy as np

import lms


@dataclass
class Surface:
    curvature: float
    thickness: float
    index: float


def trace(surfaces, height):
    """A ray parallel to the axis; where it crosses the last plane, and whether it got there."""
    z, y = 0.0, height
    dz, dy = 1.0, 0.0
    n = 1.0
    for s in surfaces:
        r = 1.0 / s.curvature
        oz, oy = z - r, y
        b = oz * dz + oy * dy
        disc = b * b - (oz * oz + oy * oy - r * r)
        if disc < 0.0:
            return 0.0, False
        root = np.sqrt(disc)
        t = -b - root if s.curvature > 0.0 else -b + root
        z, y = z + t * dz, y + t * dy
        nz, ny = (z - r) / r, y / r
        cos_in = -(nz * dz + ny * dy)
        ratio = n / s.index
        inside = 1.0 - ratio**2 * (1.0 - cos_in**2)
        if inside < 0.0:
            return 0.0, False
        k = ratio * cos_in - np.sqrt(inside)
        dz, dy = ratio * dz + k * nz, ratio * dy + k * ny
        n = s.index
        z -= s.thickness
    return y - z * dy / dz, True


@lms.stage
def program(surfaces, aperture):
    total, hits = 0.0, 0
    for k in range(5):
        y, through = trace(surfaces, aperture * (k + 1) / 5)
        if through:
            total += y**2
            hits += 1
    return np.sqrt(total / hits)


POINT = ([Surface(0.017, 6.0, 1.517), Surface(-0.022, 2.5, 1.649), Surface(-0.007, 70.0, 1.0)], 12.0)
STEP = 1e-5
