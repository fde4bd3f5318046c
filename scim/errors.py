"""Errors of SCIM (RFC 7644, section 3.12). For programs, so in English. Pure."""

MAX_SHOWN = 80


class ScimError(Exception):
    """A refusal with its HTTP status and `scimType`; "" where the standard has no type for it."""

    scim_type = ""
    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidFilter(ScimError):
    """A filter or `sortBy` that cannot be read, or that this server cannot answer."""

    scim_type = "invalidFilter"


class InvalidPath(ScimError):
    """A path of a PATCH operation that cannot be read, or names no attribute."""

    scim_type = "invalidPath"


class NoTarget(ScimError):
    """A path of a PATCH operation that selects nothing."""

    scim_type = "noTarget"


class Mutability(ScimError):
    """A change of an attribute that clients may only read, or removing a required one."""

    scim_type = "mutability"


class InvalidSyntax(ScimError):
    """A body that is no message of SCIM."""

    scim_type = "invalidSyntax"


class InvalidValue(ScimError):
    """A value that the attribute cannot have."""

    scim_type = "invalidValue"


class Uniqueness(ScimError):
    """Another resource has this name."""

    scim_type = "uniqueness"
    status = 409


class PreconditionFailed(ScimError):
    """The resource is not the version that `If-Match` names."""

    status = 412


class TooMany(ScimError):
    """A request that changes more than one request may."""

    status = 413


class NotImplementedHere(ScimError):
    """A part of the standard that this server does not have, and says so."""

    status = 501


def shown(text: str) -> str:
    """A text of a client for a message: short, and printable."""
    return text[:MAX_SHOWN].encode(errors="replace").decode()
