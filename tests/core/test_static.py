"""Static files are collected at the first start, and again only after changes."""

import os
from pathlib import Path

import pytest
from pytest_django import Settings

from core.web.static_files import collect_static


@pytest.fixture
def source(tmp_path: Path, settings: Settings) -> Path:
    """A file of ours; where it is collected to is empty."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "gate.css").write_text("a { color: red }")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [folder]
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "core.web.static_files.HashedStaticFilesStorage"}
    }
    return folder / "gate.css"


def _collected(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.css")}


def test_unchanged_files_are_not_collected_again(source: Path, settings: Settings) -> None:
    collect_static()
    first = _collected(settings.STATIC_ROOT)
    for name in first:
        (settings.STATIC_ROOT / name).unlink()
    collect_static()

    assert list(first.values()) == ["a { color: red }"] * 2
    assert _collected(settings.STATIC_ROOT) == {}


def test_a_changed_file_is_collected(source: Path, settings: Settings) -> None:
    collect_static()
    source.write_text("a { color: blue }")
    # Some file systems count in whole seconds.
    os.utime(source, (2_000_000_000, 2_000_000_000))
    collect_static()

    assert "a { color: blue }" in _collected(settings.STATIC_ROOT).values()


def test_a_new_file_and_a_missing_folder_are_noticed(source: Path, settings: Settings) -> None:
    collect_static()
    source.with_name("more.css").write_text("b { color: red }")
    collect_static()
    there = _collected(settings.STATIC_ROOT)
    settings.STATIC_ROOT.rename(settings.STATIC_ROOT.with_name("away"))
    collect_static()

    assert "more.css" in there
    assert _collected(settings.STATIC_ROOT) == there


def test_no_browser_gets_a_part_of_a_file_that_is_collected_again(
    source: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text("a { color: red }" * 100)
    collect_static()
    files = {path.name for path in settings.STATIC_ROOT.iterdir()}
    held = {path: path.open("rb") for path in settings.STATIC_ROOT.glob("*.css*")}
    (settings.STATIC_ROOT / ".collected").unlink()
    os.utime(source, (2_000_000_000, 2_000_000_000))
    missing: list[Path] = []
    replace = Path.replace

    def look_and_replace(new: Path, target: Path) -> Path:
        missing.extend(path for path in held if not path.is_file())
        return replace(new, target)

    monkeypatch.setattr(Path, "replace", look_and_replace)
    collect_static()

    # The plain name, the one with the hash, and the latter compressed.
    assert len(held) == 3
    assert missing == []
    assert {path.name for path in settings.STATIC_ROOT.iterdir()} == files
    for path, file in held.items():
        with file:
            # What a server sends at the moment is another file than the new one.
            assert os.fstat(file.fileno()).st_ino != path.stat().st_ino
            assert file.read() == path.read_bytes()
