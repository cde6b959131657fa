"""A loss curve as SVG, without a plotting library."""

from __future__ import annotations

import math

WIDTH, HEIGHT, MARGIN = 640, 360, 48
COLOURS = ("#2c5f8a", "#c2571a", "#3d7a4e", "#8a2c5f", "#7a6a2c")


def draw(curves: list[list[float]], title: str = "training loss, one line a seed") -> str:
    """An SVG document with the curves on a logarithmic axis; x counts epochs."""
    points = [y for curve in curves for y in curve]
    low, high = math.floor(math.log10(min(points))), math.ceil(math.log10(max(points)))
    length = max(len(curve) for curve in curves)

    def x(k: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * k / max(length - 1, 1)

    def y(value: float) -> float:
        return MARGIN + (HEIGHT - 2 * MARGIN) * (high - math.log10(value)) / max(high - low, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{MARGIN}" y="24" font-size="15">{title}</text>',
    ]
    for decade in range(low, high + 1):
        at = y(10.0**decade)
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    for k in range(0, length, max(1, length // 8)):
        parts.append(f'<text x="{x(k):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{k + 1}</text>')
    for k, curve in enumerate(curves):
        path = " ".join(f"{x(j):.1f},{y(value):.1f}" for j, value in enumerate(curve))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[k % len(COLOURS)]}" stroke-width="1.5"/>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">epoch</text></svg>')
    return "\n".join(parts) + "\n"
