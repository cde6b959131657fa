"""The chores' set-up, as far as it can be tried without installing anything; .ci/fresh tries the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

from lms import dev


def test_the_script_stands_alone() -> None:
    """No site-packages, no environment, an encoding that knows only ASCII; and every chore has its line."""
    command = [sys.executable, "-I", "-S", "-X", "utf8=0", dev.__file__, "help"]
    run = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=True)
    assert run.stdout.isascii()
    assert [line.split()[1] for line in run.stdout.splitlines()] == list(dev.CHORES)


def test_the_makefile_knows_every_chore() -> None:
    makefile = (dev.ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = (line for line in makefile.splitlines() if line.startswith("CHORES ="))
    assert {*line.split()[2:], "help"} == dev.CHORES.keys()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder, and no settings of pip's but the one that names it."""
    (tmp_path / "pip").mkdir()
    monkeypatch.setattr(dev, "VENV", tmp_path)
    for name in ("PIP_CERT", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    return tmp_path / "pip" / "index.html"


def test_the_newest_pip_for_this_python_is_fetched(index: Path) -> None:
    """Not the last listed: the index sorts 9.0.3 behind 26.3, and one day will list what no longer runs here."""
    (index.parent / "pip-26.3-py3-none-any.whl").write_bytes(b"wheel")
    index.write_text(
        f'<a href="pip-26.3-py3-none-any.whl#sha256={"0" * 64}">26</a>'
        '<a href="pip-99.0-py3-none-any.whl" data-requires-python="&gt;=3.99">99</a>\n'
        '<a href="pip-9.0.3-py2.py3-none-any.whl">9</a> <a href="pip-26.3.tar.gz">source</a>'
    )
    with pytest.raises(OSError, match="not what the index says"):
        dev.fetch_pip()
    index.write_text(index.read_text().replace("#sha256=", "#md5="))
    assert dev.fetch_pip().read_bytes() == b"wheel"


def test_an_index_without_pip_is_named(index: Path) -> None:
    with pytest.raises(OSError, match="index.html"):
        dev.fetch_pip()


def test_settings_come_from_the_environment_then_from_the_nearest_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = tmp_path / "near.conf", tmp_path / "pip" / "pip.conf"
    far.parent.mkdir()
    far.write_text("[global]\nindex-url = https://far\ncert = 100%.pem\n")
    near.write_text("[global]\nindex-url = https://near\n")
    for name in ("PIP_CERT", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(near))
    assert (dev.setting("index-url"), dev.setting("cert")) == ("https://near", "100%.pem")
    monkeypatch.setenv("PIP_INDEX_URL", "https://nearest")
    assert dev.setting("index-url") == "https://nearest"
