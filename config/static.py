"""Static files with hashed names in production; by plain name where nothing was collected."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Names carry a hash of the content, so that browsers may keep files for ever."""

    manifest_strict = False
