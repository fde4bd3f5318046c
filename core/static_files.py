"""Static files with hashed names in production; by plain name where nothing was collected."""

import hashlib
import os

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

from core.version import VERSION

# Among the collected files: what they were made from.
MARK = ".collected"


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Names carry a hash of the content, so that browsers may keep files for ever."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name, or `name` itself when the file is not in STATIC_ROOT."""
        try:
            stored: str = super().stored_name(name)
        except ValueError:
            return name
        return stored


def collect_static() -> None:
    """Copy, hash and compress static files, unless they are those of the last time."""
    mark, found = settings.STATIC_ROOT / MARK, _fingerprint()
    if mark.is_file() and mark.read_text() == found:
        return
    mark.unlink(missing_ok=True)
    call_command("collectstatic", verbosity=0, interactive=False)
    mark.write_text(found)


def _fingerprint() -> str:
    """Differs when any file has come, gone or changed, or the way in which they are stored."""
    lines = [f"{VERSION} {settings.STORAGES['staticfiles']['BACKEND']}"]
    for finder in get_finders():
        for name, place in finder.list([]):
            path = place.path(name)
            state = os.stat(path)
            lines.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
