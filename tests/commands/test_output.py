"""Where the output of a command cannot go."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("command", [["explain"], ["compile", "f.lms:f", "--emit", "c"]])
def test_a_full_device(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "f.lms").write_text("def f(x: Rep[f64]): Rep[f64] = x\n")
    with Path("/dev/full").open("w") as out:
        words = [sys.executable, "-m", "lms", *command]
        done = subprocess.run(words, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "lms: cannot write: no space left on device\n")
