"""The page of functions lists what the table holds."""

import builtins
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from scipy import special

import lms
from lms.staging.library.methods import _ATTRIBUTES, _METHODS
from lms.staging.table import STAGED

PAGE = (Path(__file__).parents[2] / "docs" / "functions.md").read_text(encoding="utf-8")
REFUSED = {"ascii", "bin", "bytes", "chr", "format", "hash", "hex", "oct", "ord", "str"}  # they ask for a value now


def listed(section: str) -> set[str]:
    paragraphs = PAGE.split(f"## {section}\n")[1].split("\n## ")[0].split("\n\n")
    return set(re.findall(r"`([\w.]+)`", max(paragraphs, key=lambda text: text.count("`"))))


def held(module, prefix: str = "") -> set[str]:
    found = set()
    for name in dir(module):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            f = getattr(module, name, None)
        own = getattr(f, "__name__", "") == name or isinstance(f, np.ufunc)  # `np.double` is another name of `np.float64`
        if own and not name.startswith("_") and STAGED.find(f) is not None:
            found.add(prefix + name)
    return found - REFUSED


@pytest.mark.parametrize("section, module", [("math", math), ("scipy.special", special), ("scipy.linalg", scipy.linalg)])
def test_functions(section, module):
    assert listed(section) == held(module)


def test_numpy_and_builtins():
    renamed = {"bool", "bool_", "trapz", "trapezoid"}  # in the course of NumPy's versions
    present = {name for name in listed("NumPy") if "." in name or hasattr(np, name)}
    assert present - renamed == (held(np) | held(np.linalg, "linalg.")) - renamed
    assert listed("Builtins") == held(builtins) | {"enumerate", "map", "print", "range", "reversed", "zip"}


def test_methods_and_our_own_names():
    of_arrays = {"dtype", "ndim", "shape", "size", *_ATTRIBUTES, *_METHODS} - {"tolist", "append"}
    assert listed("Attributes and methods of arrays") == of_arrays
    assert listed("lms") == set(lms.ops.__all__)
    assert listed("lms.linalg") == set(lms.linalg.__all__)
    assert all(getattr(lms, name).__doc__ for name in lms.ops.__all__)
