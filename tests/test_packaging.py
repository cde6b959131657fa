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
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_a_checkout_without_links_still_builds_the_whole_wheel(tmp_path: Path) -> None:
    """A zip unpacked by Python, and Windows, turn `lms/ad -> ../ad` into a file that holds `../ad`."""
    tree, expected = tmp_path / "tree", set()
    for package, folder in FOLDERS.items():
        shutil.copytree(ROOT / folder, tree / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        files = [path for path in (tree / folder).rglob("*") if path.is_file() and not path.is_symlink()]
        expected |= {f"{package.replace('.', '/')}/{path.relative_to(tree / folder).as_posix()}" for path in files}
    for link in [path for path in (tree / "lms").iterdir() if path.is_symlink()]:
        target = link.readlink()
        link.unlink()
        link.write_text(str(target))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree / name)

    built = subprocess.run(
        [sys.executable, "-c", BUILD, tmp_path], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert built.returncode == 0, built.stdout
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == expected
