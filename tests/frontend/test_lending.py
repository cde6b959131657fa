"""Arrays that may be read only are not written to, however they get there."""

import pytest

from lms.files import execute
from lms.frontend.check.program import checked
from lms.frontend.diagnostics import Diagnostic
from lms.frontend.run.evaluate import Evaluation

BEGIN = """
def same[n](x: Rep[f64[n]]): Rep[f64[n]] = x
def wipe[n](mut x: Rep[f64[n]]): unit = { x[0] = 0.0 }
def turn(x: Rep[f64[2]], n: Rep[i64]): Rep[f64[2]] = if n == 0 { x } else { turn(x, n - 1) }
data Pair = Pair(a: Rep[f64[2]], b: Rep[f64])
data Later = Later(a: f64[2])
def f(x: Rep[f64[2]], n: Rep[i64], l: Rep[Later]): Rep[f64] = {
"""
END = """
  x[0]
}
f(ones(2), 3, Later(ones(2)))
"""


@pytest.mark.parametrize("written", [
    "let p = (x, 1); p[0][0] = 2.0", "let xs = [x]; xs[0][0] = 2.0", "let p = Pair(x, 1.0); p.a[0] = 2.0",
    "same(x)[0] = 2.0", "turn(x, n)[0] = 2.0", "let p = (turn(x, n), 1); p[0][0] = 2.0", "reshape(x, (1, 2))[0, 0] = 2.0",
    "let g = fn() => x; g()[0] = 2.0", "var p = (x, 1.0); p[0][0] = 2.0", "l.a[0] = 2.0", "wipe(same(x))", "wipe(turn(x, n))",
    "let xs = [x[0..1]]; xs[0][0] = 2.0", "(if n > 2 { x } else { zeros(2) })[0] = 2.0",
    "var y = zeros(2); if n > 2 { y = x }; [y][0][0] = 2.0", "var y = zeros(2); for i in 0..n { [y][0][0] = 2.0; y = same(x) }",
    "var y = x; for i in 0..n { y = y[0..2] }; [y][0][0] = 2.0", "fill_diagonal(reshape(x, (1, 2)), 2.0)",
    "reset { shift { k: (Rep[f64[2]]) -> unit => k(x) }[0] = 2.0 }", "match l { Later(a) => { [a][0][0] = 2.0 } }",
    "let fill = reify(fn(y: Rep[f64[2]]) => { [y][0][0] = 2.0 }); fill(x)",
])
def test_a_write_to_what_is_read_only_is_refused(written: str) -> None:
    evaluation = Evaluation(checked(BEGIN + "  " + written + END), execute)
    with pytest.raises(Diagnostic) as caught:
        list(evaluation.results())
    assert caught.value.code == "E0308" and caught.value.fix, caught.value


@pytest.mark.parametrize("written", [
    "let xs = [zeros(2)]; xs[0][0] = 2.0", "let p = Pair(zeros(2), 1.0); p.a[0] = 2.0", "var y = turn(x, n); y[0] = 2.0",
    "var y = zeros(2); for i in 0..n { [y][0][0] = 2.0 }", "var y = x; for i in 0..n { y[0] = 2.0; y = turn(y, n) }",
    "var y = x; for i in 0..n { if y[0] > 0.5 { y = same(x) }; y[0] = 2.0 }", "wipe(copy(x))", "copy(x)[0] = 2.0",
])
def test_a_write_to_what_is_not_leaves_it_alone(written: str) -> None:
    (found,) = Evaluation(checked(BEGIN + "  " + written + END), execute).results()
    assert found.value == 1.0
