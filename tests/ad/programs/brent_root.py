"""The yield of a bond from its price by Brent's method, inside the value of a portfolio that is hedged with it."""

import lms


def price(rate, coupon, years):
    total = 0.0
    for t in range(1, years + 1):
        total += coupon / (1.0 + rate) ** t
    return total + 100.0 / (1.0 + rate) ** years


def brent(f, a, b, tolerance):
    fa, fb = f(a), f(b)
    assert fa * fb < 0.0, "the root is not bracketed"
    if abs(fa) < abs(fb):
        a, b, fa, fb = b, a, fb, fa
    c, fc, d = a, fa, b - a
    bisected = True
    for _ in lms.range(100):
        if fb == 0.0 or abs(b - a) < tolerance:
            break
        if fa != fc and fb != fc:
            s = (a * fb * fc / ((fa - fb) * (fa - fc)) + b * fa * fc / ((fb - fa) * (fb - fc))
                 + c * fa * fb / ((fc - fa) * (fc - fb)))
        else:
            s = b - fb * (b - a) / (fb - fa)
        low, high = min((3.0 * a + b) / 4.0, b), max((3.0 * a + b) / 4.0, b)
        limit = abs(b - c) if bisected else abs(c - d)
        if not low < s < high or abs(s - b) >= limit / 2.0 or limit < tolerance:
            s = (a + b) / 2.0
            bisected = True
        else:
            bisected = False
        fs = f(s)
        d, c, fc = c, b, fb
        if fa * fs < 0.0:
            b, fb = s, fs
        else:
            a, fa = s, fs
        if abs(fa) < abs(fb):
            a, b, fa, fb = b, a, fb, fa
    return b


@lms.stage
def program(quote, coupon, spread):
    rate = brent(lambda r: price(r, coupon, 7) - quote, 0.0, 0.3, 1e-7)
    return price(rate + spread, 4.0, 12) - 0.4 * price(rate, 6.0, 3)


POINT = (96.5, 5.0, 0.01)
STEP = 1e-4
