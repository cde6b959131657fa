"""A large .lms file: reading, checking, staging, and LLVM's own time, by its number of lines."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lms.emit import emit
from lms.files import loads
from lms.frontend.check.program import check_text
from lms.frontend.parse.parser import parse

from .measure import verdict

LINES = (1000, 2000, 4000)
GOALS = {"check": 1.0, "ir": 2.0}  # seconds for 2,000 lines
RATIO = 5.0                        # 4,000 lines to 1,000, at most

UNIT = """\
/// A power, number {k}.
def power{k}(x: Rep[f64], n: i64): Rep[f64] =
  if n == 0 {{ 1.0 }}
  else {{ x * power{k}(x, n - 1) }}

data Shape{k} = Circle{k}(radius: f64) | Square{k}(side: f64)

def area{k}(s: Shape{k}): f64 = match s {{
  Circle{k}(r) => 3.14159 * r * r
  Square{k}(a) => a * a
}}

def smooth{k}[n](a: Rep[f64[n]], rate: Rep[f64]): Rep[f64] = {{
  var total: Rep[f64] = 0.0
  for i in 0..n {{
    let y = a[i] * rate + f64(i)
    if y > 2.0 {{ total += exp(-y) }} else {{ total += y * y }}
  }}
  total + area{k}(Circle{k}(0.5)) * power{k}(rate, 3)
}}

export def model{k}(x: Rep[f64], y: Rep[f64]): Rep[f64] = {{
  let u = sin(x) * cos(y) + power{k}(x, 2)
  let v = if u < y {{ u }} else {{ tanh(y) }}
  (u + v) ** 2.0 + 1.0 / (1.0 + u * u)
}}
export def slope{k}(x: Rep[f64]): Rep[f64] = grad(fn(z: Rep[f64]) => model{k}(z, 2.0))(x)
"""


def program(lines: int) -> str:
    """A program of about so many lines."""
    return "\n".join(UNIT.format(k=k) for k in range(lines // (UNIT.count("\n") + 1)))


def seconds(lines: int) -> dict[str, float]:
    """What each step takes of the processor's time. `ir` is all that `lms ir` does; `llvm` is LLVM's for what is exported."""
    text = program(lines)
    marks = [time.process_time()]

    def took() -> float:
        marks.append(time.process_time())
        return marks[-1] - marks[-2]

    parse(text)
    found = {"parse": took()}
    assert not check_text(text)[1]
    found["check"] = took()
    module = loads(text)
    specializations = [getattr(module, name).specialize() for name in module.__all__]
    emit(specializations, "ir")
    found["ir"] = took()
    programs = [s.program for s in specializations[:10]]
    found["passes"] = took() * len(specializations) / len(programs)
    for s in specializations[:10]:
        s.compiled.llvm  # noqa: B018  # made when it is asked for
    found["llvm"] = took() * len(specializations) / len(programs)
    return found


def run() -> Iterator[str]:
    parse("1")
    check_text("1")  # the grammar and the prelude are read once
    table = {lines: seconds(lines) for lines in LINES}
    for lines, found in table.items():
        shown = "   ".join(f"{step} {took:6.2f} s" for step, took in found.items())
        yield f"  {lines} lines   {shown}"
    for step, goal in GOALS.items():
        took, ratio = table[2000][step], table[4000][step] / table[1000][step]
        yield (f"  {step}: {took:.2f} s for 2,000 lines   {verdict(took, goal, ' s')};   "
               f"4,000 lines to 1,000: {ratio:.1f}   {verdict(ratio, RATIO)}")
