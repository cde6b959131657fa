"""The checker: what it finds out, and how long it takes."""

from time import process_time

import pytest

from lms.frontend.check import program
from lms.frontend.check import typed as t
from lms.frontend.check.modules import Definition
from lms.frontend.check.program import check_text
from lms.frontend.check.types import show

UNIT = """
/// A loop, a choice, a recursion and a `match`.
export def f{k}[n](x: Rep[f64[n]], a: Rep[f64]): Rep[f64] = {{
  var s: Rep[f64] = 0.0
  for i in 0..n {{
    let t = x[i] * x[i] + a
    if t > 0.0 {{ s += t }} else {{ s -= 2.0 * t }}
  }}
  s + g{k}(sum(x), 3)
}}
def g{k}(b: Rep[f64], n: i64): Rep[f64] = if n == 0 {{ 1.0 }} else {{ b * g{k}(b, n - 1) }}
data T{k} = Leaf{k}(word: i64) | Node{k}(left: T{k}, right: T{k})
def total{k}(t: Rep[T{k}]): Rep[i64] = match t {{ Leaf{k}(w) => w, Node{k}(l, r) => total{k}(l) + total{k}(r) }}
"""


def types_of(text: str) -> dict[str, str]:
    module, errors = check_text(text)
    assert not errors, errors[0]
    found = {}
    for name, entry in module.values.items():
        if isinstance(entry, Definition):
            (instance,) = entry.instances.values()
            found[name] = show(instance.result) if instance.result is not None else ""
        else:
            place = module.value(name)
            found[name] = show(place.type) if isinstance(place, t.Place) else ""
    return found


@pytest.mark.parametrize(("expression", "type"), [
    ("1", "i64"), ("1.0", "f64"), ("1u8", "u8"), ("1 + 2.0f32", "f32"), ("[1, 2.0]", "List[f64]"), ("[]", "List[_]"),
    ("(1, \"s\")", "(i64, string)"), ("fn(x: f64) => x > 1", "(f64) -> bool"), ("if true { 1 } else { 2.0 }", "f64"),
    ("reset { 1 + shift { k => k(k(10)) } }", "i64"), ("0..3", "a range"), ("lift(1.0)", "Rep[f64]"),
    ("zeros((2, 3))", "Rep[f64[2, 3]]"),
    ("zeros((2, 3)) @ ones(3)", "Rep[f64[2]]"), ("lift(2) * 3", "Rep[i64]"), ("exp(1)", "f64"),
    ("sum(ones((2, 3)), axis = 0)", "Rep[f64[3]]"),
    ("ones(3)[0..2]", "Rep[f64[_]]"), ("ones(3) > 1", "Rep[bool[3]]"), ("if lift(true) { 1 } else { 2.5 }", "Rep[f64]"),
    ("map([1], fn(x) => f64(x))", "List[f64]"), ("{ let f = fn(x: i64) => (x, x); f(1)[0] }", "i64"),
    ("[for i in 0..lift(3) => 2.0 * f64(i)]", "Rep[f64[_]]"), ("grad(fn(x: Rep[f64]) => x * x)", "(Rep[f64]) -> Rep[f64]"),
    ("value_and_grad(fn(x: Rep[f64[2]], y: Rep[f64]) => sum(x) * y, argnums = (0, 1))",
     "(Rep[f64[2]], Rep[f64]) -> (Rep[f64], (Rep[f64[2]], Rep[f64]))"),
])
def test_types_are_found_out(expression: str, type: str) -> None:
    assert types_of(f"let found = {expression}")["found"] == type


def test_results_are_found_out() -> None:
    found = types_of("def f(x: Rep[f64], n: i64) = if n > 0 { x } else { 1 }\ndef g[n](x: Rep[f64[n]]) = (f(sum(x), 2), n)")
    assert found == {"f": "Rep[f64]", "g": "(Rep[f64], Rep[i64])"}


def test_sizes_follow_calls() -> None:
    found = types_of("def both[n](x: Rep[f64[n]], y: Rep[f64[n]]): Rep[f64[n, 2 * n]] = zeros((n, 2 * n))\n"
                     "def f[m](x: Rep[f64[m + 1]]): Rep[f64[m + 1, 2 * m + 2]] = both(x, x)\nlet a = both(ones(3), ones(3))")
    assert found["a"] == "Rep[f64[3, 6]]" and found["f"] == "Rep[f64[m+1, 2*m+2]]"


def test_checking_takes_time_in_proportion() -> None:
    def seconds(lines: int) -> float:
        text = "".join(UNIT.format(k=k) for k in range(lines // UNIT.count("\n")))
        start = process_time()
        _, errors = check_text(text)
        assert not errors
        return process_time() - start

    seconds(100)
    short, long = min(seconds(1000) for _ in range(3)), min(seconds(4000) for _ in range(3))
    assert long <= 8 * short  # in proportion is 4, with the square 16


def test_a_check_that_was_interrupted_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of the prelude are shared by all files."""
    text = "def f(): f64 = { let xs = filter([1u16], fn(x: u16) => x > 0); sin(1.0) }\nf()\n"

    check_text("")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr("lms.frontend.check.library.result_type", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check_text(text)
    assert not check_text(text)[1]
    made = program._names()["filter"].instances
    assert made and all(instance.body is not None for instance in made.values())
