"""`python -m benchmarks.gradbench.tool`: answers GradBench's messages, one line of JSON each, until they end.

The protocol is described in GradBench's CONTRIBUTING.md, under "Protocol".
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from typing import Any

from ..peers import one_thread
from .protocol import Eval, evaluate

EVALS = ("hello", "gmm", "ba", "lstm", "llsq", "lse", "ode", "particle", "saddle")


def load(name: str) -> Eval:
    """An eval by its name."""
    module = importlib.import_module(f".{name}", __package__)
    found: Eval = module.EVAL
    return found


class Tool:
    """What is defined so far, and the answers to messages."""

    def __init__(self) -> None:
        self.defined: dict[str, Eval] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The response to one message, with its id."""
        kind = message["kind"]
        reply: dict[str, Any] = {}
        try:
            if kind == "start":
                reply = {"tool": "lms"}
            elif kind == "define":
                reply = self._define(message["module"])
            elif kind == "evaluate":
                reply = self._evaluate(message["module"], message["function"], message["input"])
        except Exception:  # noqa: BLE001  # whatever goes wrong, the eval is told and goes on
            reply = {"success": False, "error": traceback.format_exc()}
        return {"id": message["id"], **reply}

    def _define(self, module: str) -> dict[str, Any]:
        if module not in EVALS:
            return {"success": False, "error": f"there is no {module} here; there are {', '.join(EVALS)}"}
        found = load(module)
        found.define()
        self.defined[module] = found
        return {"success": True}

    def _evaluate(self, module: str, function: str, data: dict[str, Any]) -> dict[str, Any]:
        output, spent = evaluate(self.defined[module].functions[function], data)
        return {"success": True, "output": output,
                "timings": [{"name": "evaluate", "nanoseconds": nanoseconds} for nanoseconds in spent]}


def main() -> None:
    one_thread()
    tool = Tool()
    for line in sys.stdin:
        print(json.dumps(tool.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
