"""`.lms` files from Python: functions are staged functions, on every back end; modules import modules."""

import importlib
import pickle
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import lms
from lms import StagingError
from lms.files import loads
from lms.frontend.diagnostics import SourceErrors
from tests.conftest import Golden
from tests.support.c import needs_compiler

EXAMPLES = Path(__file__).parents[2] / "examples" / "lms"

MODEL = """
// A model: its first comment is the module's documentation.
import helper
let rate = 0.5
data Tree = Leaf(word: i64) | Node(left: Tree, right: Tree)
data Point = Point(x: f64, y: f64)

/// The dot product.
export def dot[n](x: Rep[f64[n]], y: Rep[f64[n]]): Rep[f64] = {
  var s: Rep[f64] = 0.0
  for i in 0..n { s += x[i] * y[i] }
  s
}
export def power(b: Rep[f64], n: i64 = 3): Rep[f64] = if n == 0 { 1.0 } else { b * power(b, n - 1) }
export def choose(x: Rep[f64]): Rep[f64] = if x > 0.0 { sin(x) } else { x * rate }
export def total(t: Rep[Tree]): Rep[i64] = match t { Leaf(w) => w, Node(l, r) => total(l) + total(r) }
export def steps(x: Rep[f64]): Rep[i64] = { var y = x; var k: Rep[i64] = 0; while y > 1.0 { y /= 2.0; k += 1 }; k }
export def softmax_sum[n](x: Rep[f64[n]]): Rep[f64] = sum(softmax(x) ** 2)
export def norm2(p: Rep[Point]): Rep[f64] = p.x * p.x + p.y * p.y
export def fill[n](mut x: Rep[f64[n]], v: Rep[f64]): unit = for i in 0..n { x[i] = v }
export def applied(f: (Rep[f64]) -> Rep[f64], x: Rep[f64]): Rep[f64] = f(f(x)) + helper.one(x)
export def pair(x: Rep[f64]): (Rep[f64], Rep[i64]) = (x, i64(x))
export def logged(x: Rep[f64]): Rep[f64] = { print("x = {x}"); x }
def generic[T: Num](x: T): T = x + x
"""


@pytest.fixture(params=["llvm", "interpret", "python"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleType:
    (tmp_path / "model.lms").write_text(MODEL)
    (tmp_path / "helper.lms").write_text("def one(x: Rep[f64]): Rep[f64] = 1.0 + 0.0 * x\n")
    return lms.load(tmp_path / "model.lms", backend=request.param)


def test_functions_are_staged_functions(model: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    assert model.dot(x, y) == 32.0
    assert model.power(2.0) == 8.0 and model.power(2.0, n=5) == 32.0
    assert model.choose(0.5) == np.sin(0.5) and model.choose(-1.0) == -0.5
    assert model.total(model.Node(model.Leaf(1), model.Node(model.Leaf(2), model.Leaf(3)))) == 6
    assert model.steps(100.0) == 7
    assert model.softmax_sum(x) == pytest.approx(np.sum((np.exp(x) / np.exp(x).sum()) ** 2))
    assert model.norm2(model.Point(3.0, 4.0)) == 25.0
    assert model.fill(x, 7.0) is None and list(x) == [7.0, 7.0, 7.0]
    assert model.pair(2.5) == (2.5, 2)
    assert model.logged(1.5) == 1.5 and capsys.readouterr().out == "x = 1.5\n"
    assert model.rate == 0.5


@pytest.mark.parametrize("backend", ["llvm", "interpret", "python", pytest.param("c", marks=needs_compiler)])
@pytest.mark.parametrize("boundscheck", [True, False])
def test_positions_are_counted_from_the_front(tmp_path: Path, backend: str, boundscheck: bool) -> None:
    (tmp_path / "at.lms").write_text("""
export def pick[n](x: Rep[f64[n]], k: Rep[i64]): Rep[f64] = x[k] + x[k]
export def many[n, m](x: Rep[f64[n]], k: Rep[i64[m]]): Rep[f64] = sum(x[k])
""")
    module = lms.load(tmp_path / "at.lms", backend=backend, boundscheck=boundscheck)
    x = np.array([1.0, 2.0, 4.0])
    assert module.pick(x, 2) == 8.0 and module.many(x, np.array([2, 0])) == 5.0
    if boundscheck:
        for k in (-1, -4, 3):
            with pytest.raises(IndexError, match=f"index {k} is out of bounds for axis of size 3"):
                module.pick(x, k)
            with pytest.raises(IndexError, match=f"index {k} is out of bounds for axis of size 3"):
                module.many(x, np.array([0, k]))


def test_gradients(model: ModuleType) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    assert list(lms.grad(model.dot)(x, y)) == list(y)
    assert lms.grad(model.power)(2.0, 5) == 80.0
    assert lms.grad(lms.grad(model.power))(2.0, 3) == 12.0
    gradient = lms.grad(model.norm2)(model.Point(3.0, 4.0))
    assert gradient == model.Point(6.0, 8.0)


def test_it_composes_with_staged_python(model: ModuleType) -> None:
    @lms.stage
    def twice(x: float) -> float:
        return model.power(x, 2) + model.choose(x)

    @lms.stage
    def square(x: float) -> float:
        return x * x

    assert twice(2.0) == pytest.approx(4.0 + np.sin(2.0))
    assert lms.grad(twice)(2.0) == pytest.approx(4.0 + np.cos(2.0))
    assert model.applied(square, 3.0) == 82.0
    assert lms.grad(model.applied, argnums=1)(square, 3.0) == 108.0


def test_what_a_module_holds(model: ModuleType) -> None:
    assert model.__doc__ == "A model: its first comment is the module's documentation."
    assert model.dot.__doc__ == "The dot product." and "dot" in model.__all__ and "generic" not in model.__all__
    assert model.helper.one(1.0) == 1.0
    with pytest.raises(AttributeError, match="generic over types"):
        _ = model.generic
    with pytest.raises(AttributeError, match="has no 'missing'"):
        _ = model.missing


def test_a_specialisation_can_be_looked_at(golden: Golden) -> None:
    module = lms.load(EXAMPLES / "power.lms")
    golden(module.power5.specialize().ir + "\n" + module.power5.specialize().python)


def test_a_loop_in_the_program(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "helper.lms").write_text("def one(x: Rep[f64]): Rep[f64] = 1.0\n")
    (tmp_path / "model.lms").write_text(MODEL)
    module = lms.load(tmp_path / "model.lms")
    text = "\n".join(getattr(module, name).specialize().ir for name in ("dot", "choose", "steps", "total", "norm2", "fill"))
    golden(re.sub(r"\b(Tree|Point)_\d+", r"\1", text))  # other files have a `Tree` too


def test_functions_pickle() -> None:
    module = lms.load(EXAMPLES / "power.lms")
    assert pickle.loads(pickle.dumps(module.power5))(2.0) == 32.0


def test_a_wrong_argument_is_the_callers_mistake(tmp_path: Path) -> None:
    module = lms.load(EXAMPLES / "power.lms")
    with pytest.raises(TypeError, match="b is declared f64"):
        module.power5("two")


def test_mistakes_are_all_reported(tmp_path: Path) -> None:
    (tmp_path / "wrong.lms").write_text("def f(x: f64): f64 = y\ndef g(x: f64): i64 = x\n")
    with pytest.raises(SourceErrors) as caught:
        lms.load(tmp_path / "wrong.lms")
    assert [e.code for e in caught.value.diagnostics] == ["E0201", "E0301"]


def test_import_finds_lms_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_model.lms").write_text("export def twice(x: Rep[f64]): Rep[f64] = 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    with pytest.raises(ModuleNotFoundError):
        __import__("some_model")
    lms.install_import_hook()
    some_model = __import__("some_model")
    assert some_model.twice(2.0) == 4.0
    sys.modules.pop("some_model")


def test_packages_hold_lms_files_which_can_be_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helper.lms").write_text("def one(): f64 = 1.0\n")
    (folder / "model.lms").write_text("import helper\nexport def f(x: Rep[f64]): Rep[f64] = x + helper.one()\nlet k = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    lms.install_import_hook()
    model = importlib.import_module("some_package.model")
    assert (model.__name__, model.__package__, model.f(1.0), model.k) == ("some_package.model", "some_package", 2.0, 3)
    (folder / "model.lms").write_text("/// Twice.\nexport def f(x: Rep[f64]): Rep[f64] = 2.0 * x\n")
    assert importlib.reload(model) is model
    assert (model.__name__, model.f(3.0), model.f.__doc__, hasattr(model, "k")) == ("some_package.model", 6.0, "Twice.", False)
    sys.modules.pop("some_package.model")


def test_a_file_that_changed_has_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "shapes.lms"
    path.write_text("data D = D(a: f64)\nexport def get(d: Rep[D]): Rep[f64] = d.a\n")
    old = lms.load(path)
    assert lms.load(path).get(old.D(1.0)) == 1.0
    path.write_text("data D = D(a: f64, b: f64)\nexport def get(d: Rep[D]): Rep[f64] = d.b\n")
    new = lms.load(path)
    assert new.get(new.D(1.0, 2.0)) == 2.0
    with pytest.raises(StagingError, match="it was made by another class of that name"):
        new.get(old.D(1.0))


def test_data_of_now_may_be_as_deep_as_it_likes(tmp_path: Path) -> None:
    (tmp_path / "links.lms").write_text(
        "data Links = End | Link(head: f64, tail: Links)\n"
        "def links(n: i64): Links = fold([for i in 0..n => f64(i)], End, fn(l: Links, x: f64) => Link(x, l))\n"
        "def count(l: Links): i64 = match l { End => 0, Link(_, t) => 1 + count(t) }\n"
        "let deep = links(20000)\nlet counted = count(deep)\nlet same = deep == links(20000)\nlet other = deep == links(19999)\n")
    module = lms.load(tmp_path / "links.lms")
    assert (module.counted, module.same, module.other) == (20000, True, False)
    assert hash(module.deep) == hash(module.deep) and repr(module.deep).startswith("Link(head = 19999.0, tail = ")


def test_run_time_errors_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "checks.lms").write_text("export def f(a: Rep[i64], b: Rep[i64]): Rep[i64] =\n  a / b\n")
    with pytest.raises(ZeroDivisionError, match=r"checks.lms:2"):
        lms.load(tmp_path / "checks.lms").f(1, 0)


@pytest.mark.parametrize("wrap", ["plain", "staged", "grad"])
def test_recursion_beside_arguments_of_now_is_found_from_wherever_it_is_staged(tmp_path: Path, wrap: str) -> None:
    (tmp_path / "sums.lms").write_text(
        "def go(k: i64, n: Rep[i64], x: Rep[f64]): Rep[f64] = if n == 0 { x } else { f64(k) * x + go(k, n - 1, x) }\n"
        "export def sums(n: Rep[i64], x: Rep[f64]): Rep[f64] = {\n"
        "  var total: Rep[f64] = 0.0\n"
        "  let add = reify(fn(y: Rep[f64]) => { total += y })\n"
        "  add(go(2, n, x))\n"
        "  total\n"
        "}\n")
    sums = lms.load(tmp_path / "sums.lms").sums
    if wrap == "plain":
        assert sums(3, 1.5) == 10.5
    elif wrap == "grad":
        assert lms.grad(sums, argnums=1)(3, 1.5) == 7.0
    else:
        assert lms.stage(lambda n, x: sums(n, x) + 1.0)(3, 1.5) == 11.5


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.lms").write_bytes("// fine\n// caf\xe9\n".encode("latin-1"))
    with pytest.raises(SourceErrors, match=r"latin\.lms:2: E0103: this is not UTF-8"):
        lms.load(tmp_path / "latin.lms")


def test_what_is_nested_as_deeply_as_is_allowed_is_evaluated() -> None:
    nested = "if true { " * 400 + "1" + " } else { 2 }" * 400
    module = loads(f"let a = {nested}\ndef f(): i64 = {nested}\nlet b = f()\n")
    assert (module.a, module.b) == (1, 1)


def test_index_arrays_choose_elements_together() -> None:
    """As NumPy's: several are broadcast against each other, and the axes they choose stand where the first of them does."""
    m = loads("export def pairs(a: Rep[f64[3, 4]], i: Rep[i64[2]], j: Rep[i64[2]]): Rep[f64[2]] = a[i, j]\n"
              "export def block(a: Rep[f64[3, 4]], i: Rep[i64[2]], j: Rep[i64[3]]): Rep[f64[2, 3]] = {\n"
              "  let (rows, columns) = ix_(i, j)\n  a[rows, columns]\n}\n"
              "export def inner(a: Rep[f64[2, 3, 4]], i: Rep[i64[2]], k: Rep[i64]): Rep[f64[2, 2]] = a[.., i, k]\n")
    a, b = np.arange(12.0).reshape(3, 4), np.arange(24.0).reshape(2, 3, 4)
    i, j, k = np.array([0, 2]), np.array([3, 1]), np.array([3, 0, 1])
    assert np.array_equal(m.pairs(a, i, j), a[i, j])
    assert np.array_equal(m.block(a, i, k), a[np.ix_(i, k)])
    assert np.array_equal(m.inner(b, i, 3), b[:, i, 3])
