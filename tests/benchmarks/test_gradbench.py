"""The tool for GradBench answers what the mathematics say, and keeps to the protocol whatever it is asked."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks.gradbench.__main__ import TOLERANCE, WORKLOADS
from benchmarks.gradbench.reference import KNOWN, PROBLEMS, error
from benchmarks.gradbench.tool import EVALS, Tool, load


@pytest.mark.parametrize("name", EVALS)
def test_eval(name: str) -> None:
    """On the smallest workload every entry of every derivative is checked."""
    tool = Tool()
    assert tool.answer({"id": 0, "kind": "define", "module": name}) == {"id": 0, "success": True}
    data = next(iter(WORKLOADS[name].values()))
    for function in load(name).functions:
        reply = tool.answer({"id": 1, "kind": "evaluate", "module": name, "function": function, "input": data})
        assert reply["success"], reply["error"]
        assert error(name, function, data, reply["output"]) <= TOLERANCE
        assert [timing["name"] for timing in reply["timings"]] == ["evaluate"]


def test_every_eval_has_a_reference() -> None:
    assert {*PROBLEMS, *KNOWN} == set(EVALS) == set(WORKLOADS)


@pytest.mark.parametrize("name", ["llsq", "lstm", "gmm", "ba"])
def test_a_wrong_answer_is_seen(name: str) -> None:
    data = WORKLOADS[name][next(iter(WORKLOADS[name]))]
    tool = Tool()
    tool.answer({"id": 0, "kind": "define", "module": name})
    function = list(load(name).functions)[1]
    output = tool.answer({"id": 1, "kind": "evaluate", "module": name, "function": function, "input": data})["output"]
    wrong: Any = copy.deepcopy(output)
    values = wrong["vals"] if name == "ba" else wrong
    values[3] += 1e-6 * max(1.0, abs(values[3]))
    assert error(name, function, data, output) <= TOLERANCE < error(name, function, data, wrong)
    assert error(name, function, data, output[:-1] if isinstance(output, list) else output | {"vals": []}) > TOLERANCE


def test_runs_as_often_and_as_long_as_asked() -> None:
    tool = Tool()
    tool.answer({"id": 0, "kind": "define", "module": "llsq"})
    data = WORKLOADS["llsq"]["n=16"] | {"min_runs": 7, "min_seconds": 0.01}
    reply = tool.answer({"id": 1, "kind": "evaluate", "module": "llsq", "function": "gradient", "input": data})
    spent = [timing["nanoseconds"] for timing in reply["timings"]]
    assert len(spent) >= 7 and sum(spent) >= 10_000_000


def test_what_goes_wrong_is_an_answer() -> None:
    tool = Tool()
    assert tool.answer({"id": "a", "kind": "start", "eval": "hello"}) == {"id": "a", "tool": "lms"}
    assert tool.answer({"id": "b", "kind": "analysis", "of": "a", "valid": True}) == {"id": "b"}
    unknown = tool.answer({"id": "c", "kind": "define", "module": "det"})
    assert not unknown["success"] and "det" in unknown["error"]
    undefined = tool.answer({"id": "d", "kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": [1.0]}})
    assert undefined["id"] == "d" and not undefined["success"]
    tool.answer({"id": "e", "kind": "define", "module": "lse"})
    empty = tool.answer({"id": "f", "kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": []}})
    assert not empty["success"] and "ValueError" in empty["error"]


def test_the_tool_as_a_process() -> None:
    command = [sys.executable, "-m", "benchmarks.gradbench", "hello", "--seconds", "0"]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("right") == 4 and "the tool is lms" in said.stdout


def test_the_measure() -> None:
    from benchmarks.gradbench.reference import distance

    assert distance([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert distance([1e6], [1e6 + 1]) == pytest.approx(0.5e-6)
    assert distance([np.nan], [0.0]) == distance([1.0], [1.0, 2.0]) == np.inf
