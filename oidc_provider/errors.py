"""Errors as RFC 6749 and OpenID Connect name them, for programs; and pages for people. Pure."""

from core.errors import GatehouseError


class ProtocolError(Exception):
    """An error that goes to the client. error: a code of a standard. description: in English."""

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        self.error, self.description, self.status = error, description, status
        super().__init__(error)

    @property
    def members(self) -> dict[str, str]:
        """As members of an answer."""
        described = {"error_description": self.description} if self.description else {}
        return {"error": self.error} | described


class RequestUnusable(GatehouseError):
    """A request that names no app or no proven address: people see a page, no one is redirected."""

    code = "malformed"
    status = 400
