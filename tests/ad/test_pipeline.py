"""The same gradients through every pass: simplified before and between derivatives, lowered to loops, simplified again."""

from collections.abc import Iterator
from typing import Any

import pytest

from lms.ad.differentiate import Differentiate
from lms.core.ir import Program
from lms.pipeline import optimize, simplify
from tests.ad import emitted, test_arrays, test_calls, test_memory

CASES: dict[str, Any] = {**test_memory.CASES, **test_arrays.CASES, **test_calls.CASES}


class Everything:
    """All passes of the pipeline, in the place of differentiation alone."""

    def run(self, program: Program) -> Program:
        return optimize(program, [Differentiate(simplify)])


@pytest.fixture(autouse=True)
def every_pass(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LMS_VERIFY", "1")
    monkeypatch.setattr(emitted, "Differentiate", Everything)
    yield


@pytest.mark.parametrize("name", CASES)
def test_first_order(name: str) -> None:
    build, types, args, *functions = CASES[name]
    emitted.check(build, types, args, functions=functions[0] if functions else ())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_second_order(name: str) -> None:
    build, types, args, *functions = CASES[name]
    emitted.check(build, types, args, order=2, functions=functions[0] if functions else ())


@pytest.mark.parametrize("name", ["a_callee_allocates", "w4_ping_pong_buffers", "recurrent_network", "while_in_while"])
def test_second_order_of_some(name: str) -> None:
    test_second_order(name)
