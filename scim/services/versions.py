"""Preconditions of changes (RFC 7644, section 3.14)."""

from scim.errors import PreconditionFailed
from scim.resources import Resource, version_of


def tags_of(header: str) -> set[str]:
    """The entity tags of a header, without the mark of weak ones, which compare alike here."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()}


def is_version(resource: Resource, header: str) -> bool:
    """Whether the header names the version of the resource, or any by `*`."""
    return bool({"*", *tags_of(version_of(resource))} & tags_of(header))


def require_version(resource: Resource, if_match: str) -> None:
    """Raise PreconditionFailed if the client has read another version. "": it did not ask."""
    if if_match and not is_version(resource, if_match):
        raise PreconditionFailed("The resource has changed since you read it. Read it again.")
