"""The generated `main`: what it reads, and what it says of what it cannot read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import write_array

from lms.backends.c.build import STRICT, build
from lms.files import loads
from tests.support.c import needs_compiler

TEXT = """
export def scale[n, m](x: Rep[f64[n, m]], a: Rep[f64], k: Rep[i32]): Rep[f64[n, m]] = x * a + f64(k)
export def small(b: Rep[bool], u: Rep[u8], x: Rep[f32]): Rep[f32] = if b { x } else { f32(u) }
export def first[n](x: Rep[f32[n]]): Rep[f32] = x[0]
export def names[argc](argv: Rep[f64[argc]], status: Rep[i64], lms: Rep[f64], main: Rep[f64], argv_shape: Rep[f64]): Rep[f64] =
  argv[status] + lms * main + f64(argc) + argv_shape
export def bytes[n](x: Rep[u8[n]]): Rep[i64] = sum(i64(x))
"""
X = np.arange(6.0).reshape(2, 3)
FLAGS = (*STRICT, "-O1", "-fsanitize=address,undefined")
pytestmark = needs_compiler


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    module = loads(TEXT)
    for name in ("scale", "small", "first", "names", "bytes"):
        source = folder / f"{name}.c"
        source.write_text(getattr(module, name).specialize().emit_c(main=True))
        build([source], folder / name, FLAGS)
    return folder


def ran(program: Path, *arguments: object) -> tuple[int, str, str]:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("x", "version"), [(X, (1, 0)), (X, (2, 0)), (X, (3, 0)), (X[:0], (1, 0)), (X[:, :0], (1, 0)),
                                            (X[:1], (1, 0))])
def test_an_array_is_read(x: np.ndarray, version: tuple[int, int], programs: Path, tmp_path: Path) -> None:
    with open(tmp_path / "x.npy", "wb") as file:
        write_array(file, x, version=version)
    rows = "".join(" ".join(f"{v:.17g}" for v in row) + "\n" for row in 2 * x + 1) if x.size else ""
    assert ran(programs / "scale", tmp_path / "x.npy", 2.0, 1) == (0, rows, "")


@pytest.mark.parametrize(("what", "said"), [
    ("f32", "expected numbers of type <f8"), ("i64", "expected numbers of type <f8"), ("big", "expected numbers of type <f8"),
    ("rank", "has another number of axes than expected"), ("order", "is in Fortran's order: save np.ascontiguousarray of it"),
    ("short", "ends too early"), ("head", "ends too early"), ("junk", "not a .npy file"), ("empty", "not a .npy file"),
    ("negative", "too large"), ("huge", "too large"), ("missing", "cannot be read"), ("folder", "not a .npy file"),
])
def test_an_array_that_is_not_what_is_expected(what: str, said: str, programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    arrays = {"f32": X.astype("f4"), "i64": X.astype("i8"), "big": X.astype(">f8"), "rank": X[0], "order": np.asfortranarray(X)}
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        np.save(path, arrays.get(what, X))
        found = path.read_bytes()
        shape = b"'shape': (2, 3), }" + b" " * 30
        path.write_bytes({"short": found[:-8], "head": found[:20], "junk": b"hello", "empty": b"",
                          "negative": found.replace(b"(2, 3)", b"(-2,3)"),
                          "huge": found.replace(shape, b"'shape': (99999999999, 99999999999), }".ljust(48))}.get(what, found))
    assert ran(programs / "scale", path, 2.0, 1) == (2, "", f"{path}: {said}\n")


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("scale", ("x.npy", "two", "1"), "x.npy: cannot be read"), ("small", ("true", "256", "1.0"), "256: too large"),
    ("small", ("true", "-1", "1.0"), "-1: not an unsigned integer"),
    ("small", ("true", " -1", "1.0"), " -1: not an unsigned integer"),
    ("small", ("yes", "1", "1.0"), "yes: not a bool"), ("small", ("true", "1", "1e39"), "1e39: too large"),
    ("small", ("true", "1", "1.0x"), "1.0x: not a number"), ("small", ("true", "1", ""), ": not a number"),
    ("small", ("true", "1.5", "1.0"), "1.5: not an unsigned integer"),
    ("names", ("1,1e400", "1", "1", "1", "1"), "1e400: too large"),
    ("names", ("1,,2", "1", "1", "1", "1"), ": not a number"), ("bytes", ("1,256",), "256: too large"),
    ("names", ("1", "9223372036854775808", "1", "1", "1"), "9223372036854775808: too large"),
])
def test_a_number_that_cannot_be_read(name: str, arguments: tuple[str, ...], said: str, programs: Path) -> None:
    status, out, err = ran(programs / name, *arguments)
    assert (status, out, err) == (2, "", said + "\n")


def test_numbers_at_the_ends_of_their_types(programs: Path) -> None:
    assert ran(programs / "small", "false", 255, 0.0) == (0, "255\n", "")
    assert ran(programs / "small", "1", 0, "3.4028235e38") == (0, "3.40282347e+38\n", "")
    assert ran(programs / "small", "True", 0, "-inf") == (0, "-inf\n", "")
    assert ran(programs / "bytes", "255,0xff,0") == (0, "510\n", "")


def test_names_are_nobody_elses(programs: Path) -> None:
    assert ran(programs / "names", "1,2,3", 1, 2, 3, 4) == (0, "15\n", "")
    status, _, err = ran(programs / "names", 1)
    assert status == 2 and err.startswith("usage: ")


def test_what_fails_is_told_and_gives_everything_back(programs: Path) -> None:
    assert ran(programs / "first", "") == (1, "", "<text>:4: index 0 is out of bounds for axis of size 0\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_output_that_nobody_takes_is_an_error(programs: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([programs / "first", "1,2"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "standard output cannot be written\n")
