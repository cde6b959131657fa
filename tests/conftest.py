"""What every test may use, and what a run of the tests says at its end."""

from __future__ import annotations

import difflib
import fnmatch
import os
import random
import re
import signal
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"

Golden = Callable[[str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lms")
    group.addoption("--update-golden", action="store_true", help="write tests/golden/ instead of comparing with it")
    group.addoption("--strict-skips", action="store_true", help="fail on a reason that allowed_skips.txt lacks")


def pytest_configure(config: pytest.Config) -> None:
    """A cache of our own, empty, so that no test reads or fills the user's; and the verifier between any two passes."""
    cache = tempfile.TemporaryDirectory(prefix="lms-cache-", ignore_cleanup_errors=True)
    config.add_cleanup(cache.cleanup)
    os.environ["LMS_CACHE_DIR"] = cache.name
    os.environ["LMS_VERIFY"] = "1"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell lets what it starts in the background ignore Ctrl-C,
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests send to themselves and to their children

    # By default the same examples each time, and not many; `make fuzz` asks for more, and for new ones.
    asked = os.environ.get("LMS_FUZZ_EXAMPLES")
    os.environ.setdefault("LMS_FUZZ_SEED", str(random.randrange(2**32)) if asked else "0")  # one for all workers
    profile = hypothesis.settings(
        max_examples=int(asked or 100), derandomize=asked is None, database=None, deadline=None, print_blob=True
    )
    hypothesis.settings.register_profile("lms", profile)
    hypothesis.settings.load_profile("lms")


def pytest_report_header() -> str:
    return f"generated programs: {os.environ.get('LMS_FUZZ_EXAMPLES', 200)}, by LMS_FUZZ_SEED={os.environ['LMS_FUZZ_SEED']}"


# -- golden files -----------------------------------------------------------------------------------------------------


def golden_path(item: pytest.Item) -> Path:
    """tests/core/test_text.py::test_loop[f64] -> tests/golden/core/test_loop[f64].txt"""
    name = re.sub(r"[^-.,=+_A-Za-z0-9\[\]]", "_", ".".join(item.nodeid.split("::")[1:]))
    return GOLDEN / item.path.relative_to(TESTS).parent / f"{name}.txt"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with the file named after the test, or with --update-golden write that file."""
    path = golden_path(request.node)

    def compare(text: str) -> None:
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        shown, remedy = path.relative_to(TESTS.parent), "python -m pytest --update-golden"
        if not path.exists():
            pytest.fail(f"{shown} is missing; write it with: {remedy}\nand read it before you commit it", pytrace=False)
        wanted = path.read_text(encoding="utf-8")
        if text != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), str(shown), "this run", lineterm="")
            pytest.fail("\n".join([*lines, "", f"if this run is right: {remedy}"]), pytrace=False)

    return compare


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No two tests share a golden file."""
    users = defaultdict(list)
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            users[golden_path(item)].append(item.nodeid)
    for path, nodes in users.items():
        if len(nodes) > 1:
            raise pytest.UsageError(f"{' and '.join(nodes)} would share {path.name}: rename one")


# -- the last lines of a run ------------------------------------------------------------------------------------------


def skips(reporter: pytest.TerminalReporter) -> Counter[str]:
    """How often a test was skipped for which reason."""
    reasons = (str(report.longrepr[2]) for report in reporter.stats.get("skipped", ()) if report.longrepr)
    return Counter(reason.removeprefix("Skipped: ") for reason in reasons)


def disallowed(reporter: pytest.TerminalReporter) -> list[str]:
    lines = (TESTS / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    allowed = [line for line in lines if line and not line.startswith("#")]
    return [reason for reason in skips(reporter) if not any(fnmatch.fnmatchcase(reason, each) for each in allowed)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--strict-skips") and reporter and disallowed(reporter) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reporter = terminalreporter
    if counts := skips(reporter):
        reporter.section("skips by reason")
        for reason, count in counts.most_common():
            reporter.line(f"{count:6}  {reason}")
        if config.getoption("--strict-skips"):
            for reason in disallowed(reporter):
                reporter.line(f"not in tests/allowed_skips.txt: {reason}", red=True)

    spent: dict[str, float] = defaultdict(float)
    for report in (report for reports in reporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            inside = Path(report.nodeid.partition("::")[0]).parts[1:-1]
            spent[inside[0] if inside else "."] += report.duration
    budget: dict[str, float] = tomllib.loads((TESTS / "budget.toml").read_text(encoding="utf-8"))
    reporter.section("seconds by folder")
    for folder, seconds in sorted(spent.items()):
        over = seconds > budget.get(folder, 0)
        note = "  over its share, see tests/budget.toml" if over else ""
        reporter.line(f"{seconds:8.1f} of {budget.get(folder, 0):4}  {folder}{note}", yellow=over)
