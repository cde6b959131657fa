"""The docstrings of what is ours in `lms.__all__`: each has an example that runs, and gives what the comments in it say.

Functions under NumPy's and SciPy's names have those libraries' examples; `tests/staging/test_table.py` compares them.
"""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import lms
from lms.core.types import Scalar
from lms.staging.library import ops

ERRORS = {"SpecializationWarning", "StagingError"}
NAMES = [name for name in sorted({*lms.__all__} - {*ops.__all__} - ERRORS) if not isinstance(getattr(lms, name), Scalar)]
OURS = [*NAMES, "norm", "relu", "sigmoid", "stop_gradient"]
PRELUDE = "import math\n\nimport numpy as np\n\nimport lms\nfrom lms import Array, Mut, Rep, Static, f64, i64\n\n"
MODEL = "export def power5(b: Rep[f64]): Rep[f64] = b ** 5\n"
RESULT = re.compile(r"(?P<call>\S.*?) +# (?P<result>.+)")


def example(name: str) -> str:
    """The indented lines of a docstring, as a program that hands results to `shown`."""
    documented = getattr(lms, name)
    margin = 4 if inspect.ismodule(documented) else 8
    lines = documented.__doc__.splitlines()
    return "\n".join(_line(line[margin:]) if line.startswith(" " * margin) else "" for line in lines).strip()


def _line(line: str) -> str:
    """`lms.grad(f)(3.0)      # 6.0` compares; where the comment is no value it is a comment."""
    found = RESULT.fullmatch(line)
    try:
        assert found
        ast.parse(found["call"], mode="eval")
        ast.literal_eval(found["result"])
    except (AssertionError, SyntaxError, ValueError):
        return line
    return f"shown(({found['call']}), {found['result']})"


@pytest.mark.parametrize("name", OURS)
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = example(name)
    assert text, f"lms.{name} has no example"
    (tmp_path / "model.lms").write_text(MODEL, encoding="utf-8")
    (tmp_path / "example.py").write_text(PRELUDE + text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setitem(sys.modules, "model", sys)  # so that what the example imports by this name is forgotten afterwards
    del sys.modules["model"]
    runpy.run_path(str(tmp_path / "example.py"), {"shown": np.testing.assert_array_equal})


def test_results_are_compared() -> None:
    assert _line("lms.grad(f)(3.0)      # 6.0") == "shown((lms.grad(f)(3.0)), 6.0)"
    assert _line("y = f(3.0)            # 6.0") == "y = f(3.0)            # 6.0"
    assert _line("f(3.0)                # a number") == "f(3.0)                # a number"
    compared = [name for name in OURS if "shown(" in example(name)]
    assert len(compared) > len(OURS) // 2
