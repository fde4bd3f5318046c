"""Static files with hashed names in production, and plain names if nothing was collected."""

import hashlib
import os

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

from core.version import VERSION

# A file in STATIC_ROOT with the fingerprint of the sources.
FINGERPRINT_FILE = ".collected"


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """File names contain a hash of the content, so that browsers may cache them for ever."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name, or `name` itself when the file is not in STATIC_ROOT."""
        try:
            stored: str = super().stored_name(name)
        except ValueError:
            return name
        return stored


def collect_static() -> None:
    """Copy, hash and compress static files, unless they have not changed since the last time."""
    marker, found = settings.STATIC_ROOT / FINGERPRINT_FILE, _fingerprint()
    if marker.is_file() and marker.read_text() == found:
        return
    marker.unlink(missing_ok=True)
    call_command("collectstatic", verbosity=0, interactive=False)
    marker.write_text(found)


def _fingerprint() -> str:
    """Changes when a file is added, removed or changed, or the storage is another."""
    lines = [f"{VERSION} {settings.STORAGES['staticfiles']['BACKEND']}"]
    for finder in get_finders():
        for name, storage in finder.list([]):
            path = storage.path(name)
            state = os.stat(path)
            lines.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
