"""Static files with hashed names in production, and plain names if nothing was collected."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.files.base import File
from django.core.management import call_command
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

from core.version import VERSION

# A file in STATIC_ROOT with the fingerprint of the sources.
FINGERPRINT_FILE = ".collected"
# What no page of ours uses: half of all files, and nearly all of their bytes. Of the scripts, the
# minified ones stay.
UNUSED = (
    "rest_framework/*",
    "admin/css/vendor/*",
    "admin/js/vendor/select2/*",
    "admin/js/vendor/jquery/jquery.js",
    "admin/js/vendor/xregexp/xregexp.js",
)


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """File names contain a hash of the content, so that browsers may cache them for ever.

    So no browser may ever get a part of a file. A server of the version before may still send
    files while these are collected: each file is replaced as a whole, and never missing.
    """

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name, or `name` itself when the file is not in STATIC_ROOT."""
        try:
            stored: str = super().stored_name(name)
        except ValueError:
            return name
        return stored

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself; what is there is replaced."""
        return name

    def delete(self, name: str) -> None:
        """Do nothing: `collectstatic` deletes only what it saves next."""

    def _save(self, name: str, content: "File[Any]") -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        content.open()
        _replace(target, content.read())
        if self.file_permissions_mode is not None:
            target.chmod(self.file_permissions_mode)
        return name

    def compress_files(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Those with a hash in their name, which pages use; the others are there for links."""
        hashed = set(self.hashed_files.values())
        yield from super().compress_files(path for path in paths if path in hashed)

    def create_compressor(self, **options: Any) -> Compressor:
        """Whose files are replaced in the same way."""
        return _WholeFiles(**options)


class _WholeFiles(Compressor):
    def write_data(self, path: str, data: bytes, suffix: str, stat_result: os.stat_result) -> str:
        target = Path(path + suffix)
        _replace(target, data)
        os.utime(target, (stat_result.st_atime, stat_result.st_mtime))
        return str(target)


def _replace(target: Path, data: bytes) -> None:
    """Write a file so that each reader gets the old or the new one, and all of it."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(target)


def collect_static() -> None:
    """Copy, hash and compress static files, unless they have not changed since the last time."""
    marker, found = settings.STATIC_ROOT / FINGERPRINT_FILE, _fingerprint()
    if marker.is_file() and marker.read_text() == found:
        return
    marker.unlink(missing_ok=True)
    call_command("collectstatic", verbosity=0, interactive=False, ignore_patterns=[*UNUSED])
    marker.write_text(found)


def _fingerprint() -> str:
    """Changes when a file is added, removed or changed, or the storage is another."""
    lines = [f"{VERSION} {settings.STORAGES['staticfiles']['BACKEND']}"]
    for finder in get_finders():
        for name, storage in finder.list(UNUSED):
            path = storage.path(name)
            state = os.stat(path)
            lines.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
