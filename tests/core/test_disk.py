from pathlib import Path

import pytest

from lms.core import disk


def test_a_place_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = tmp_path / "open"
    open_.mkdir()
    open_.chmod(0o777)
    monkeypatch.setenv("LMS_CACHE_DIR", str(open_))
    assert disk.directory() is None


def test_directories_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert disk.directory() == tmp_path / "xdg" / "lms"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert disk.directory() == tmp_path / "home" / ".cache" / "lms"
    monkeypatch.delenv("HOME")
    found = disk.directory()
    assert found is None or found.name.startswith("lms-")


def test_what_belongs_to_lms_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path))
    assert disk.library() == tmp_path / disk.LIBRARY
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path / "file"))
    assert disk.library() is None
