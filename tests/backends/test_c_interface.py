"""What C programs see: names, records, strides, complex numbers, formats, errors, threads."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, c128, f32, f64, i8, i64, u8
from lms.backends import c
from lms.backends.c.build import STRICT, build
from lms.backends.c.names import ascii_spelling, quoted, spelled, unique
from lms.core.errors import LmsError
from tests.support.build import Emit, vector
from tests.support.c import needs_compiler

FLAGS = (*STRICT, "-O1")


# ------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(("name", "found"), [
    ("θ", "theta"), ("Δx", "Deltax"), ("é", "e"), ("grad(f)", "grad_f"), ("<lambda>", "lambda"), ("2d", "_2d"), ("", "t"),
    ("for", "for_1"), ("exp", "exp_1"), ("powf", "powf_1"), ("rewind", "rewind_1"), ("lms_x", "_lms_x"), ("x.y", "x_y")])
def test_names(name: str, found: str) -> None:
    assert unique(name, "t", ()) == found


def test_unknown_letters_are_numbered() -> None:
    assert ascii_spelling("水") == "u6c34"
    assert spelled("水", "x").isidentifier()


def test_literals() -> None:
    assert quoted('a"\\\n??/é') == r'"a\"\\\n?\?/\303\251"'


@needs_compiler
def test_names_of_the_program_clash_with_nothing(tmp_path: Path) -> None:
    @lms.stage
    def exp(int: Rep[f64], lms_x: Rep[f64], y0: Rep[f64], θ: Rep[f64], double: Rep[Array[f64, "long"]]):
        for free in lms.range(len(double)):
            y0 += np.exp(int * double[free]) + lms_x * θ
        return y0

    args = 0.5, 2.0, 1.0, 3.0, np.array([1.0, 2.0])
    program = exp.specialize(*args).program
    assert c.compile_all([program], flags=FLAGS)[0](*args)[0] == pytest.approx(exp(*args), rel=1e-15)


# ----------------------------------------------------------------------------------------------- kinds of values


def by_c(f: lms.api.Staged, *args: object) -> object:
    return lms.stage(backend="c")(f.unstaged)(*args)


@needs_compiler
def test_strides_are_followed() -> None:
    @lms.stage
    def total(x: Rep[Array[f64, "n", "m"]], out: Mut[Array[f64, "m"]]):
        for i in lms.range(x.shape[0]):
            for j in lms.range(x.shape[1]):
                out[j] += (i + 1) * x[i, j]

    x = np.arange(24.0).reshape(4, 6)
    for view in (x, x[::2, ::-1], x.T, x[:, 1:3]):
        found, expected = np.zeros(view.shape[1]), np.zeros(view.shape[1])
        by_c(total, view, found)
        total(view, expected)
        assert np.array_equal(found, expected)


@needs_compiler
def test_small_types_and_complex_numbers() -> None:
    @lms.stage
    def mixed(a: Rep[i8], b: Rep[u8], x: Rep[f32], z: Rep[c128], flags: Rep[Array[lms.bool_, "n"]]):
        return a + a, b - b - b, x * x, z * z / (z + 1.0), np.exp(z), flags

    args = np.int8(100), np.uint8(3), np.float32(0.1), 1.5 - 2.0j, np.array([True, False])
    found, expected = by_c(mixed, *args), mixed(*args)
    for x, y in zip(found, expected, strict=True):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        assert np.allclose(x, y, rtol=1e-15)


@dataclass(frozen=True)
class Tip:
    value: Rep[f64]


@dataclass(frozen=True)
class Fork:
    left: Tree
    right: Tree


Tree = Tip | Fork

TREES = """
#include <stdio.h>
#include "made.h"

int main(void) {
    Tip_or_Fork leaves[] = {{.node.tag = Tip_or_Fork_Tip, .as.Tip = {1.5}},
                             {.node.tag = Tip_or_Fork_Tip, .as.Tip = {-4}}};
    Tip_or_Fork root = {.node.tag = Tip_or_Fork_Fork, .as.Fork = {&leaves[0], &leaves[1]}}, *twice, *again;
    lms_context lms = {0};
    double sum;
    if (doubled(&lms, &root, &twice) != LMS_OK || doubled(&lms, twice, &again) != LMS_OK) return 1;
    if (total(&lms, again, &sum) != LMS_OK || sum != -10) return 2;
    if (again->as.Fork.left->as.Tip.value != 6 || twice->as.Fork.right->node.tag != Tip_or_Fork_Tip) return 3;
    lms_finish(&lms);
    Tip_or_Fork chain[50] = {root};
    for (int k = 1; k < 50; k++) chain[k] = (Tip_or_Fork){.node.tag = Tip_or_Fork_Fork, .as.Fork = {&chain[k - 1], &leaves[0]}};
    lms.max_depth = 10;
    if (total(&lms, &chain[49], &sum) != LMS_RECURSION_ERROR) return 4;
    printf("%s, %zu", lms.message, lms.held);
    return 0;
}
"""


@needs_compiler
def test_trees_go_to_c_and_back(tmp_path: Path) -> None:
    @lms.stage
    def total(t: Rep[Tree]) -> Rep[f64]:
        match t:
            case Tip(value):
                return value
            case Fork(left, right):
                return total(left) + total(right)

    @lms.stage
    def doubled(t: Rep[Tree]) -> Rep[Tree]:
        match t:
            case Tip(value):
                return Tip(2.0 * value)
            case Fork(left, right):
                return Fork(doubled(left), doubled(right))

    programs = [total.specialize().program, doubled.specialize().program]
    (tmp_path / "made.c").write_text(c.emit(*programs))
    (tmp_path / "made.h").write_text(c.header(*programs))
    (tmp_path / "use.c").write_text(TREES)
    built = build([tmp_path / "use.c", tmp_path / "made.c"], tmp_path / "use", FLAGS)
    assert subprocess.run([built], capture_output=True, text=True, check=True).stdout.endswith("recursed too deeply, 0")


# ------------------------------------------------------------------------------------------ what is said


SPECS = ["", ":.3f", ":10.2e", ":<12.4g", ":+.1f", ":08.3f", ": .2F", ":G"]


@needs_compiler
@pytest.mark.parametrize("spec", SPECS)
def test_floats_are_printed_as_python_prints_them(spec: str) -> None:
    x = np.array([0.1, -1e-7, 1e16, 123456789.125, -0.0, 5e-324, 1.5e200, np.inf, -np.inf, np.nan, 3.0])
    e = Emit()
    with e.function("show", vector(), i64, names="x k") as f:
        value = e.load(*f.body.params)
        e.check(e.lt(f.body.params[1], 0), value, error="AssertionError", message=f"<{{{spec}}}>")
        e.ret(f, value)
    called = c.compile_all([e.program], flags=FLAGS)[0]
    for k in range(len(x)):
        with pytest.raises(AssertionError) as error:
            called(x, k)
        assert str(error.value).endswith(f"<{{0{spec}}}>".format(x[k].item()))


def test_other_formats_are_refused() -> None:
    @lms.stage
    def show(x: Rep[f64]):
        print(f"{x:^10}")

    with pytest.raises(LmsError, match="has no counterpart in C") as error:
        c.emit(show.specialize().program)
    assert "print(f" in str(error.value) and "fix:" in str(error.value)


@needs_compiler
def test_calls_in_threads_share_nothing() -> None:
    @lms.stage
    def work(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        y = np.cumsum(x * x)
        return y[k] + np.sort(x)[0]

    called = c.compile(work.specialize().program)
    rng = np.random.default_rng(0)
    wrong = []

    def run(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=200)
        for k in range(150):
            if k % 3 == 0:
                try:
                    called(x, 200 + seed)
                    wrong.append(seed)
                except IndexError as e:
                    if f"index {200 + seed} is" not in str(e):
                        wrong.append(str(e))
            elif called(x, k)[0] != pytest.approx(np.cumsum(x * x)[k] + x.min(), rel=1e-12):
                wrong.append(k)

    threads = [threading.Thread(target=run, args=(int(s),)) for s in rng.integers(0, 99, 4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


SIZE = """
#include <stdio.h>
#include "made.h"
int main(void) { printf("%zu", sizeof(lms_context)); }
"""


@needs_compiler
def test_the_context_of_ctypes_is_that_of_c(tmp_path: Path) -> None:
    program = lms.stage(lambda x: x[0]).specialize(np.ones(3)).program
    (tmp_path / "made.h").write_text(c.header(program))
    (tmp_path / "size.c").write_text(SIZE)
    built = build([tmp_path / "size.c"], tmp_path / "size", FLAGS)
    assert int(subprocess.run([built], capture_output=True, text=True, check=True).stdout) == ctypes.sizeof(c.Context)
