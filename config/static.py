"""Static files with hashed names in production; by plain name where nothing was collected."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


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
