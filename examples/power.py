"""The first program of every multi-stage language: `power`, specialised on its exponent.

`n` is an `int`: known now, so the recursion and both `if`s run while staging. What is left is five multiplications or fewer.
"""

from __future__ import annotations

import lms
from lms import Rep, f64


@lms.stage
def power(b: Rep[f64], n: int) -> Rep[f64]:
    if n == 0:
        return 1.0
    if n % 2 == 0:
        half = power(b, n // 2)
        return half * half
    return b * power(b, n - 1)


if __name__ == "__main__":
    print(power(2.0, 10), lms.grad(power)(2.0, 10))
    print(power.specialize(n=10).python)
