"""Lotka-Volterra by RK4, 10,000 steps: value, and value and gradient."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import lms
from lms import Rep, f64, i64

from .measure import Case
from .peers import c_library, peer

STEPS = 10_000
P = (1.5, 1.0, 3.0, 1.0)

C = """
double lotka(double a, double b, double c, double d, long n) {
  double x = 1.0, y = 1.0, h = 0.001;
  for (long i = 0; i < n; i++) {
    double k1 = a*x - b*x*y, l1 = d*x*y - c*y;
    double x2 = x + 0.5*h*k1, y2 = y + 0.5*h*l1;
    double k2 = a*x2 - b*x2*y2, l2 = d*x2*y2 - c*y2;
    double x3 = x + 0.5*h*k2, y3 = y + 0.5*h*l2;
    double k3 = a*x3 - b*x3*y3, l3 = d*x3*y3 - c*y3;
    double x4 = x + h*k3, y4 = y + h*l3;
    double k4 = a*x4 - b*x4*y4, l4 = d*x4*y4 - c*y4;
    x += h/6.0*(k1 + 2.0*k2 + 2.0*k3 + k4);
    y += h/6.0*(l1 + 2.0*l2 + 2.0*l3 + l4);
  }
  return x*x + y*y;
}
"""


def slope(x, y, a, b, c, d):
    return a * x - b * x * y, d * x * y - c * y


@lms.stage
def lotka(a: Rep[f64], b: Rep[f64], c: Rep[f64], d: Rep[f64], n: Rep[i64]):
    x, y, h = 1.0, 1.0, 0.001
    for _ in range(n):
        k1, l1 = slope(x, y, a, b, c, d)
        k2, l2 = slope(x + 0.5 * h * k1, y + 0.5 * h * l1, a, b, c, d)
        k3, l3 = slope(x + 0.5 * h * k2, y + 0.5 * h * l2, a, b, c, d)
        k4, l4 = slope(x + h * k3, y + h * l3, a, b, c, d)
        x += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        y += h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
    return x * x + y * y


def cases() -> Iterator[Case]:
    gradient = lms.value_and_grad(lotka, argnums=(0, 1, 2, 3))
    forward: dict[str, Callable[[], object]] = {"lms": lambda: lotka(*P, STEPS)}
    backward: dict[str, Callable[[], object]] = {"lms": lambda: gradient(*P, STEPS), "lms, value only": lambda: lotka(*P, STEPS)}
    library = c_library(C)
    if library is not None:
        f = library.lotka
        f.restype, f.argtypes = ctypes.c_double, [ctypes.c_double] * 4 + [ctypes.c_long]
        forward["C"] = lambda: f(*P, STEPS)
    jax = peer("jax")
    if jax:
        def scan(p):
            def step(state, _):
                x, y = state
                h = 0.001
                k1, l1 = slope(x, y, *p)
                k2, l2 = slope(x + 0.5 * h * k1, y + 0.5 * h * l1, *p)
                k3, l3 = slope(x + 0.5 * h * k2, y + 0.5 * h * l2, *p)
                k4, l4 = slope(x + h * k3, y + h * l3, *p)
                return (x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), y + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)), None

            x, y = jax.lax.scan(step, (1.0, 1.0), None, length=STEPS)[0]
            return x * x + y * y

        jf, jg = jax.jit(scan), jax.jit(jax.value_and_grad(scan))
        forward["jax scan"] = lambda: jax.block_until_ready(jf(P))
        backward["jax scan"] = lambda: jax.block_until_ready(jg(P))
    yield Case("value", forward, {"C": 1.2})
    yield Case("value and gradient", backward, {"lms, value only": 4.0, "jax scan": 1.0})
