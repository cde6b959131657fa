"""From a cold start of Python to the first gradient: a model of some fifty lines, and a loop of 2,000 steps.

Nothing made for the program is kept between runs. What is a package's own is: bytecode of both, JAX's compiler, and lms's vector
functions and support code, which are compiled for the machine at the first run after an install.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .measure import verdict
from .peers import peer

HEAD = {
    "lms": "import numpy as np, math\nimport lms\nfrom lms import Array, Rep, f64, i64\n",
    "jax": "import numpy as np\nimport jax, jax.numpy as jnp\njax.config.update('jax_enable_x64', True)\n",
}

LOOP = {
    "lms": """
@lms.stage
def f(x: Rep[f64], n: Rep[i64]):
    for i in range(n):
        x = x + 0.001 * math.sin(x)
    return x
print(lms.grad(f)(0.5, 2000))
""",
    "jax": """
def f(x):
    return jax.lax.scan(lambda c, _: (c + 0.001 * jnp.sin(c), None), x, None, length=2000)[0]
print(jax.jit(jax.grad(f))(0.5))
""",
}


def _model(np_: str) -> str:
    layers = "".join(
        f"    h = {np_}.tanh(h @ p['w{k}'] + p['b{k}'])\n    h = h * 1.01 + 0.1 * {np_}.sin(h)\n"
        f"    s{k} = {np_}.sum(h * h, axis=1)\n    h = h + {np_}.exp(-h * h) * 0.01\n"
        for k in range(10)
    )
    total = " + ".join(f"{np_}.mean({np_}.log(1.0 + s{k}))" for k in range(10))
    return f"def f(p, x):\n    h = x\n{layers}    return {total}\n"


DATA = """
rng = np.random.default_rng(0)
p = {f'w{k}': rng.normal(size=(16, 16)) / 4 for k in range(10)} | {f'b{k}': np.zeros(16) for k in range(10)}
x = rng.normal(size=(32, 16))
"""
MODEL = {
    "lms": _model("np") + DATA + "print(lms.grad(lms.stage(f))(p, x)['b0'][0])\n",
    "jax": _model("jnp") + DATA + "print(jax.jit(jax.grad(f))(p, x)['b0'][0])\n",
}


def _seconds(text: str, installed: Path) -> float:
    """One run in a process of its own, from a file. `installed` keeps what belongs to the packages."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.py")
        path.write_text(text)
        for program in installed.glob("cache/*.lmso"):
            program.unlink()
        env = {**os.environ, "LMS_CACHE_DIR": str(installed / "cache"), "PYTHONPYCACHEPREFIX": str(installed / "bytecode")}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        begin = time.perf_counter()
        subprocess.run([sys.executable, path], check=True, stdout=subprocess.DEVNULL, env=env)
        return time.perf_counter() - begin


def run() -> Iterator[str]:
    names = ["lms", *(["jax"] if peer("jax") else [])]
    for title, job in (("a loop of 2,000 steps", LOOP), ("a model of fifty lines", MODEL)):
        with tempfile.TemporaryDirectory() as installed:
            rounds = [{name: _seconds(HEAD[name] + job[name], Path(installed)) for name in names} for _ in range(8)][1:]
        for name in names:
            median = statistics.median(r[name] for r in rounds)
            line = f"  {title:24} {name:5} {median:7.3f} s"
            if name != "lms":
                low, middle, high = np.percentile([r["lms"] / r[name] for r in rounds], [10, 50, 90])
                line += f"   ours/this {middle:.3f} [{low:.3f} .. {high:.3f}]   {verdict(low, 0.5)}"
            yield line
