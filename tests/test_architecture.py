"""The architecture, as a test: what ships, who may import whom, and how long a file may be."""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SETUP: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUP["package-dir"]

# A layer may import itself and the layers named beside it; api, cli, dev and the front door see all.
MAY_IMPORT = {
    "core": set[str](),
    "passes": {"core"},
    "staging": {"core"},
    "ad": {"core", "staging"},
    "frontend": {"core", "staging", "ad"},
    "backends": {"core"},
}
SEE_ALL = {"", "__main__", "analytic", "api", "check", "cli", "colouring", "commands", "derivatives", "dev", "emit",
           "files", "fronts", "known", "loading", "pattern", "pipeline", "public", "pullback", "report", "roots", "sparse",
           "specialization", "suspects"}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the wheel: its dotted name and its file."""
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the absolute name of all that a file imports; relative imports stay inside their folder."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.lineno, node.module


def layer(name: str) -> str:
    """lms.core.ir -> core"""
    return name.partition(".")[2].partition(".")[0]


def test_every_package_on_disk_is_shipped() -> None:
    assert {name for name, path in modules() if path.name == "__init__.py"} == set(SETUP["packages"])


def test_every_folder_of_python_is_a_package() -> None:
    assert not [path for _, path in modules() if not (path.parent / "__init__.py").exists()]


def test_every_module_has_a_layer() -> None:
    assert not [name for name, _ in modules() if layer(name) not in SEE_ALL | MAY_IMPORT.keys()]


def test_every_folder_is_also_linked_into_lms() -> None:
    outside = {package: folder for package, folder in FOLDERS.items() if package != folder}
    if not all((ROOT / package.replace(".", "/")).is_symlink() for package in outside):
        pytest.skip("this checkout has no symbolic links")
    for package, folder in outside.items():
        assert (ROOT / package.replace(".", "/")).resolve() == ROOT / folder


def test_imports_point_down() -> None:
    wrong = []
    for name, path in modules():
        here = layer(name)
        for line, target in imported(path):
            if here in MAY_IMPORT and target.partition(".")[0] == "lms" and layer(target) not in MAY_IMPORT[here]:
                remedy = "write a relative import" if layer(target) == here else f"{here} stands below it, or beside it"
                wrong.append(f"{path.relative_to(ROOT)}:{line}: imports {target}: {remedy}")
    assert not wrong, "\n".join(wrong)


def test_relative_imports_stay_in_their_layer() -> None:
    wrong = []
    for name, path in modules():
        depth = len(name.split(".")) - (path.name != "__init__.py")  # how many dots reach above `lms`, plus one
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if layer(name) in MAY_IMPORT and isinstance(node, ast.ImportFrom) and node.level >= depth:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: leaves its folder; write `from lms...`")
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other() -> None:
    """So that any module may be the first that is imported."""
    known = dict(modules())
    needs: dict[str, set[str]] = {}
    for name, path in known.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        needs[name] = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                above = package[:len(package) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                needs[name] |= {each if (each := f"{base}.{alias.name}") in known else base for alias in node.names}
    TopologicalSorter(needs).prepare()  # a `CycleError` names those in the circle


def test_nothing_imports_a_folder_by_its_bare_name() -> None:
    """At the root `import ad` works too, and gives a second copy of `lms.ad`."""
    bare = set(FOLDERS.values()) - {"lms"}
    files = [path for name in (*bare, "lms", "tests", "examples", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: write lms.{target}"
        for path in files
        for line, target in imported(path)
        if target.partition(".")[0] in bare
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_excused_says_why() -> None:
    """As in `# noqa: F401  # they register the code they make`."""
    excuse = re.compile(r"# (?:ruff: )?(?:noqa|(?:type|pyright): ignore)\b[^#]*(?P<reason>#.*)?")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: say why: {line.strip()}"
        for name in (*FOLDERS.values(), "tests", "examples", "benchmarks")
        for path in sorted((ROOT / name).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := excuse.search(line)) and not found["reason"]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_skip_that_is_allowed_is_some_tests() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    lines = (ROOT / "tests" / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line and not line.startswith("#") and f'"{line}"' not in tests]


def test_files_stay_short() -> None:
    """A file has one subject; one of more than 500 lines has two."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for _, path in modules()}
    wrong = [f"{path.relative_to(ROOT)}: {length} lines" for path, length in lengths.items() if length > 500]
    assert not wrong, "\n".join(wrong)
