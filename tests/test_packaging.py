"""What pip installs is what the checkout shows, links or no links."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS: dict[str, str] = PYPROJECT["tool"]["setuptools"]["package-dir"]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"




def test_a_checkout_without_links_still_builds_the_whole_wheel(tmp_path: Path) -> None:
    """A zip unpacked by Python, and Windows, turn `lms/ad -> ../ad` into a file that holds `../ad`."""
    tree, expected = checkout(tmp_path), set()
    for package, folder in FOLDERS.items():
        files = [path for path in (tree / folder).rglob("*") if path.is_file() and not path.is_symlink()]
        expected |= {f"{package.replace('.', '/')}/{path.relative_to(tree / folder).as_posix()}" for path in files}
    for link in [path for path in (tree / "lms").iterdir() if path.is_symlink()]:
        target = link.readlink()
        link.unlink()
        link.write_text(str(target))
    assert shipped("wheel", tree) == expected


def test_an_editable_install_is_a_path(tmp_path: Path) -> None:
    """So scripts in examples/ import the package; setuptools' finder would be asked after the folder examples/lms is seen."""
    (name,) = shipped("editable", checkout(tmp_path))
    assert name.endswith(".pth")


def checkout(at: Path) -> Path:
    """What a package is built from."""
    tree = at / "tree"
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, tree / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree / name)
    return tree


def shipped(kind: str, tree: Path) -> set[str]:
    """The files in the wheel, or in what stands for it in an editable install."""
    into = tree.parent / "built"
    into.mkdir()
    built = subprocess.run(
        [sys.executable, "-c", BUILD.format(kind), into], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert built.returncode == 0, built.stdout
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        return {name for name in content.namelist() if ".dist-info/" not in name}
