"""`python -m benchmarks.gradbench [eval ...]`: runs the tool as GradBench would, and checks every answer at 1e-8."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from . import ba, gmm, llsq, lse, lstm, ode
from .reference import error
from .tool import EVALS, load

TOLERANCE = 1e-8

# The smallest of GradBench's workloads, so that every entry is checked, and one of the large ones.
WORKLOADS: dict[str, dict[str, Any]] = {
    "hello": {"x=1": 1.0, "x=-3": -3.0},
    "gmm": {"d=2 k=5": gmm.generate(2, 5), "d=64 k=25": gmm.generate(64, 25)},
    "ba": {"p=20": ba.generate(3, 4, 20), "p=182072": ba.generate(161, 48126, 182072)},
    "lstm": {"l=2 c=8": lstm.generate(2, 8), "l=4 c=4096": lstm.generate(4, 4096)},
    "llsq": {"n=16": llsq.generate(16), "n=16392": llsq.generate(16392)},
    "lse": {"n=100": lse.generate(100), "n=1280000": lse.generate(1280000)},
    "ode": {"n=100 s=10": ode.generate(100, 10), "n=10000 s=100": ode.generate(10000, 100)},
    "particle": {"w=0": {"w": 0.0}},
    "saddle": {"(1, 1)": {"start": [1.0, 1.0]}},
}


class Conversation:
    """A tool in a process of its own, and one line each way for each message."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.process.communicate()  # closes its input, which ends it

    def say(self, kind: str, **message: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps({"id": self.count, "kind": kind, **message}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the tool ended without an answer to {kind!r}")
        reply: dict[str, Any] = json.loads(line)
        assert reply["id"] == self.count, f"an answer to {reply['id']} where {self.count} was asked"
        self.count += 1
        return reply


def run(names: list[str], least: float) -> Iterator[tuple[str, bool]]:
    """A line for each thing asked, and whether it went well."""
    with Conversation([sys.executable, "-m", f"{__package__}.tool"]) as tool:
        yield f"the tool is {tool.say('start', eval='all', config={})['tool']}", True
        for name in names:
            reply = tool.say("define", module=name)
            yield f"{name}: {'defined' if reply['success'] else reply['error']}", reply["success"]
            if reply["success"]:
                for workload, data in WORKLOADS[name].items():
                    yield from ask(tool, name, workload, data, least)


def ask(tool: Conversation, name: str, workload: str, data: Any, least: float) -> Iterator[tuple[str, bool]]:
    message = data | {"min_runs": 3, "min_seconds": least} if isinstance(data, dict) else data  # a number, of `hello`
    for function in load(name).functions:
        reply = tool.say("evaluate", module=name, function=function, input=message, description=workload)
        if not reply["success"]:
            yield f"  {workload:16} {function:10} {reply['error']}", False
            continue
        far = error(name, function, data, reply["output"])
        tool.say("analysis", of=reply["id"], valid=far <= TOLERANCE)
        spent = statistics.median(timing["nanoseconds"] for timing in reply["timings"]) / 1e6
        verdict = "right" if far <= TOLERANCE else "WRONG"
        yield f"  {workload:16} {function:10} {spent:10.3f} ms   error {far:.0e}   {verdict}", far <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradbench", description=__doc__)
    parser.add_argument("evals", nargs="*", metavar="eval", help=f"of {', '.join(EVALS)}; all of them by default")
    parser.add_argument("--seconds", type=float, default=0.2, help="how long each function is repeated at least")
    options = parser.parse_args()
    if unknown := set(options.evals) - set(EVALS):
        parser.error(f"no such eval: {', '.join(sorted(unknown))}")
    good = True
    for line, well in run(options.evals or list(EVALS), options.seconds):
        print(line, flush=True)
        good &= well
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
