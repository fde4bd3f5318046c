"""`make pictures` works: each page that a picture of the documentation shows is still there."""

import subprocess
import sys
from pathlib import Path

import pytest

from devtools.pictures.catalogue import PICTURES
from tests.architecture.sources import ROOT

FILES = [file for picture in PICTURES for file in picture.files]


@pytest.mark.browser
@pytest.mark.skipif((ROOT / ".env").exists(), reason="its settings would be in the pictures")
def test_the_command_makes_every_picture(tmp_path: Path) -> None:
    """A page that answers otherwise than the catalogue says makes the command fail."""
    done = subprocess.run(
        [sys.executable, "-m", "devtools.pictures", "--folder", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == set(FILES)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        str(tmp_path / file) for file in FILES
    ]
