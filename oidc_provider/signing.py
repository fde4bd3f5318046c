"""Whether and how ID tokens are signed."""

from django.conf import settings


def is_available() -> bool:
    """Whether people can sign in to apps. With JWT_SECRET there are no public keys.

    An ID token that is signed with a secret could be verified by no app that does not know it, and
    whoever knows it could make access tokens for this API.
    """
    return not settings.JWT_SECRET


def algorithms() -> tuple[str, ...]:
    """Of ID tokens."""
    return (settings.JWT_ALGORITHM,)
