"""What can be wrong with a request, each with its HTTP status."""


class GatehouseClientError(Exception):
    """The base of all errors. status: what the backend answers. challenge: WWW-Authenticate."""

    status = 500
    challenge = ""
    text = "Something went wrong."

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.text)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}


class NotAuthenticated(GatehouseClientError):
    """The request has no credential, or one that lets nobody in."""

    status = 401
    challenge = "Bearer"
    text = "A valid credential is needed."


class Forbidden(GatehouseClientError):
    """The user may not do that."""

    status = 403
    text = "Your role does not allow this."


class Unavailable(GatehouseClientError):
    """Gatehouse could not be asked, so it is not known whether the credential is valid."""

    status = 503
    text = "The credential could not be checked. Try again."


class ClientRefused(Unavailable):
    """Gatehouse refused the client id and secret of this backend. Correct its configuration."""

    text = "The credential could not be checked: the backend is not set up."
