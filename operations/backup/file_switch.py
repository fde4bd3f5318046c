"""The files of a restore: staged in a folder of DATA_DIR, installed after the switch.

The switch replaces the old database by the new one: a rename for SQLite, a commit for PostgreSQL.
The new database stores the number of the folder. So a process that finds the folder knows whether a
restore was killed before or after the switch: if the database names the folder, the files are
installed; if not, the folder is deleted. Both can be repeated.
"""

import os
import secrets
import shutil
from pathlib import Path

from django.conf import settings

from operations.backup.archive import FILES
from operations.backup.post_restore import unfinished_restore
from operations.errors import SecretsReplaced

PREFIX = ".restore-"
NUMBER_BITS = 62


def make_staging_folder() -> tuple[int, Path]:
    """Create a folder in DATA_DIR for one restore; returns its number and path."""
    number = secrets.randbits(NUMBER_BITS)
    folder = Path(settings.DATA_DIR) / f"{PREFIX}{number}"
    folder.mkdir(mode=0o700)
    return number, folder


def finish_interrupted_restores() -> None:
    """Finish or clean up what a killed restore left. Call under the upgrade lock.

    Raises SecretsReplaced if files were installed, because this process has read the old ones.
    """
    folders = sorted(Path(settings.DATA_DIR).glob(f"{PREFIX}*"))
    if not folders:
        return
    current = f"{PREFIX}{unfinished_restore()}"
    for folder in folders:
        if folder.name == current:
            install_files(folder)
        shutil.rmtree(folder)
    if any(folder.name == current for folder in folders):
        raise SecretsReplaced


def install_files(staging: Path) -> None:
    """Copy the secrets and keys of a staging folder to DATA_DIR, each file atomically."""
    folder = staging / FILES
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = Path(settings.DATA_DIR) / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, temporary)
        temporary.chmod(0o600)
        sync(temporary)
        temporary.rename(target)
        sync(target.parent)


def sync_tree(folder: Path) -> None:
    """fsync `folder` and everything below it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
