"""Ackermann's function, specialised on its first argument: every level becomes a function that calls the level below.

`m` is known now and selects the code; `n` is known later, so the recursion on it is recursion in native code.
"""

from __future__ import annotations

import lms
from lms import Rep, i64


@lms.stage
def ackermann(m: int, n: Rep[i64]) -> Rep[i64]:
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


if __name__ == "__main__":
    print([ackermann(2, n) for n in range(6)])
    print(ackermann.specialize(2, 3).python)
