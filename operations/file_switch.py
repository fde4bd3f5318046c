"""The files of a restore: staged in a folder of DATA_DIR, put in place after the one switch.

The switch is the moment in which the new database stands in the place of the old one: a rename for
SQLite, a commit for PostgreSQL. The new database names the folder, so that whoever finds the folder
knows on which side of the switch a restore was killed: the database names it, and the files are put
in place; or it does not, and the folder is cleared away. Both may be repeated.
"""

import os
import secrets
import shutil
from pathlib import Path

from django.conf import settings

from operations.archive import FILES
from operations.errors import SecretsReplaced
from operations.post_restore import unfinished_restore

PREFIX = ".restore-"
NUMBER_BITS = 62


def make_staging_folder() -> tuple[int, Path]:
    """A new folder in DATA_DIR for one restore, and the number that names it."""
    number = secrets.randbits(NUMBER_BITS)
    folder = Path(settings.DATA_DIR) / f"{PREFIX}{number}"
    folder.mkdir(mode=0o700)
    return number, folder


def finish_cut_off_restores() -> None:
    """Finish, or clear away, what a killed restore left. Run it under the lock of upgrades.

    Raises SecretsReplaced when files were put in place: this process has read the old ones.
    """
    folders = sorted(Path(settings.DATA_DIR).glob(f"{PREFIX}*"))
    if not folders:
        return
    current = f"{PREFIX}{unfinished_restore()}"
    for folder in folders:
        if folder.name == current:
            place_files(folder)
        shutil.rmtree(folder)
    if any(folder.name == current for folder in folders):
        raise SecretsReplaced


def place_files(staging: Path) -> None:
    """The secrets and keys of a staging folder into DATA_DIR, each whole or not at all."""
    folder = staging / FILES
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = Path(settings.DATA_DIR) / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, beside)
        beside.chmod(0o600)
        sync(beside)
        beside.rename(target)
        sync(target.parent)


def sync_tree(folder: Path) -> None:
    """Write every file and folder below `folder`, and it, to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Write a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
