"""`python -m benchmarks [name ...]`: ours and the peers in one run, interleaved, as ratios of medians."""

from __future__ import annotations

import argparse
import importlib
import sys

from .peers import one_thread

SUBJECTS = ("calls", "scalar_loop", "logsumexp", "elementwise", "lotka_volterra", "unrolled", "c_gradient", "corpus",
            "jacobian", "cold_start", "checkpoint", "gradients", "lms_files")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=f"of {', '.join(SUBJECTS)}; all of them by default")
    options = parser.parse_args()
    unknown = set(options.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    one_thread()
    from .measure import measure, report

    for subject in options.subjects or SUBJECTS:
        module = importlib.import_module(f".{subject}", __package__)
        print(f"--- {subject}: {module.__doc__.strip().splitlines()[0]}", flush=True)
        if hasattr(module, "run"):
            for line in module.run():
                print(line, flush=True)
            continue
        for case in module.cases():
            print("\n".join(report(measure(case))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
