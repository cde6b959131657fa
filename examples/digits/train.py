"""Train a network on handwritten digits in native code, with pictures. Run it with `make demo`."""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from pathlib import Path

import numpy as np
from curve import draw  # the example's own modules stand beside it
from model import accuracy, epoch, initial, loss

import lms

HERE = Path(__file__).resolve().parent


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, held-out images and labels: every sample whose index is 3 modulo 4 is held out."""
    with gzip.open(HERE / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    images, labels = table[:, :64] / 16.0, table[:, 64].astype(np.int64)
    held_out = np.arange(len(labels)) % 4 == 3
    return images[~held_out], labels[~held_out], images[held_out], labels[held_out]


def show(text: str, *, over: bool = False) -> None:
    """A line of progress: rewritten in place on a terminal, printed now and then in a log."""
    if sys.stdout.isatty():
        print(("\r" if over else "") + text, end="" if over else "\n", flush=True)
    elif not over:
        print(text, flush=True)


def train(seed: int, epochs: int) -> tuple[dict[str, np.ndarray], list[float], float, float, float]:
    """Train once. Gives parameters, the loss of each epoch, held-out accuracy, seconds in native code, seconds in all."""
    images, labels, test_images, test_labels = load()
    params, rng = initial(seed), np.random.default_rng(seed)
    speed = {name: np.zeros_like(value) for name, value in params.items()}
    losses, native = list[float](), 0.0
    # compile before the clock starts: one step on nothing but a batch
    epoch({k: v.copy() for k, v in params.items()}, {k: v.copy() for k, v in speed.items()},
          images[:32], labels[:32], np.arange(32), 0.0, 32)
    start = time.perf_counter()
    for k in range(epochs):
        order, rate = rng.permutation(len(labels)), 0.1 * (1.0 - k / epochs)
        before = time.perf_counter()
        losses.append(epoch(params, speed, images, labels, order, rate, 32))
        native += time.perf_counter() - before
        show(f"  seed {seed}  epoch {k + 1:3}/{epochs}  loss {losses[-1]:.4f}", over=True)
    total = time.perf_counter() - start
    held_out = accuracy(params, test_images, test_labels)
    if sys.stdout.isatty():
        show("")
    show(f"  seed {seed}: loss {losses[0]:.3f} -> {losses[-1]:.4f}, held out {100 * held_out:.2f} %")
    return params, losses, held_out, native, total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5, help="train from this many different beginnings")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where the pictures and the code go")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)

    show("staging and compiling the training step ...")
    begin = time.perf_counter()
    images, labels, *_ = load()
    params = initial(0)
    speed = {name: np.zeros_like(value) for name, value in params.items()}
    program = epoch.specialize(params, speed, images, labels, np.arange(len(labels)), 0.1, 32)
    epoch(params, speed, images[:32], labels[:32], np.arange(32), 0.0, 32)
    show(f"  {time.perf_counter() - begin:.2f} s")

    show("training ...")
    runs = [train(seed, options.epochs) for seed in range(options.seeds)]
    scores = sorted(run[2] for run in runs)
    native, total = sum(run[3] for run in runs), sum(run[4] for run in runs)
    show(f"held out over {len(runs)} seeds: worst {100 * scores[0]:.2f} %, median {100 * scores[len(scores) // 2]:.2f} %")
    show(f"{100 * native / total:.1f} % of {total:.2f} s of training was inside native code")

    show("pictures and code ...")
    written = [
        (out / "loss.svg", draw([run[1] for run in runs])),
        (out / "epoch.py.txt", program.python),
        (out / "epoch.ll", program.llvm),
        (out / "epoch.ir", program.ir),
    ]
    for path, text in written:
        path.write_text(text, encoding="utf-8")
    graph = out / "gradient.html"
    small = lms.grad(loss).specialize(params, images[:8], labels[:8])
    graph.write_text(small.graph("html"), encoding="utf-8")
    for path in (*(path for path, _ in written), graph):
        show(f"  {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
