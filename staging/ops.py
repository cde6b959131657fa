"""The functions of the `lms` namespace, by the names of NumPy and the array API standard."""

from __future__ import annotations

from .elementary import *  # noqa: F403  # this module is a list of names
