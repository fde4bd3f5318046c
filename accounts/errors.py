"""Every failure the house can tell of: one class each, with a stable code and a real status."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _


class GatehouseError(Exception):
    """A refusal with a message for a person and a `code` for a program.

    status: the HTTP status it becomes on a page or in the API (RFC 9457 there).
    """

    code = "server_error"
    status = 500
    # The same for every error of its kind (RFC 9457: "title").
    title = _("Something went wrong")
    default_message = _("Something went wrong on our side.")

    def __init__(self, message: Any = None) -> None:
        self.message = str(message or self.default_message)
        super().__init__(self.message)

    @property
    def sentences(self) -> str:
        """The message for a person, without the names of fields."""
        return self.message


class Forbidden(GatehouseError):
    """The actor's rank does not allow the act."""

    code = "forbidden"
    status = 403
    title = _("Not allowed")
    default_message = _("Your role does not allow this.")


class LastOwner(Forbidden):
    """The act would leave the house without an active owner."""

    code = "last_owner"
    default_message = _(
        "This is the last active owner. Make somebody else owner first, then try again."
    )


class NotFound(GatehouseError):
    """No such record, or none that the caller may see."""

    code = "not_found"
    status = 404
    title = _("Not found")
    default_message = _("Not found.")


class RecordInvalid(GatehouseError):
    """A record fails validation; `errors` maps field names to lists of messages."""

    code = "record_invalid"
    status = 402
    title = _("Some fields need attention")
    default_message = _("Some fields need attention.")

    def __init__(self, errors: dict[str, list[str]], message: str | None = None) -> None:
        self.errors = errors
        first = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items())
        super().__init__(message or first)

    @property
    def sentences(self) -> str:
        """The messages alone."""
        return " ".join(text for texts in self.errors.values() for text in texts)


class ConfirmationNeeded(Forbidden):
    """The act wants a person who has proved who they are in the last 15 minutes."""

    code = "confirmation_needed"
    title = _("Confirm that it is you")
    default_message = _(
        "It is a while since you signed in. Open /confirm in the browser, confirm that it is you, "
        "then try again."
    )


class RepeatedParameter(GatehouseError):
    """A name has several values where one is read: which of them is meant, nobody can tell."""

    code = "repeated_parameter"
    status = 400
    title = _("Sent twice")

    def __init__(self, name: str) -> None:
        text = _("“%(name)s” came more than once. Send it once.")
        super().__init__(text % {"name": name[:80]})


class BadCredentials(GatehouseError):
    """Wrong email or password; the same for an unknown account (ASVS 6.3.8)."""

    code = "bad_credentials"
    status = 401
    title = _("Wrong credentials")
    default_message = _("The email address or password is not right.")


class OwnPasswordWrong(BadCredentials):
    """The password that a signed-in person was asked for is wrong.

    errors: what else is wrong with their form, as of RecordInvalid. Nothing of it may depend on
    anybody else's account.
    """

    default_message = _("This is not your password.")

    def __init__(self, errors: dict[str, list[str]] | None = None) -> None:
        self.errors = errors or {}
        super().__init__()


class TokenInvalid(GatehouseError):
    """A single-use secret that is unknown, or of another purpose.

    notice: what the sign-in page tells whoever came with it. email: of the account that it was
    for; "" when that is not known.
    """

    code = "token_invalid"
    # Has it done what it was for?
    is_use = False
    title = _("Not valid")
    notice = "link-unknown"
    status = 401
    default_message = _("This link is not valid any more.")

    def __init__(self, message: str | None = None, *, email: str = "") -> None:
        super().__init__(message)
        self.email = email


class TokenExpired(TokenInvalid):
    """A single-use secret past its end."""

    code = "token_expired"
    title = _("Expired")
    notice = "link-expired"
    default_message = _("This link has expired.")


class TokenUsed(TokenInvalid):
    """A single-use secret that has been used; `notice` says what came of it."""

    notice = "link-used"
    is_use = True

    def __init__(self, *, email: str = "", notice: str = "") -> None:
        super().__init__(email=email)
        self.notice = notice or self.notice


class TokenReplaced(TokenInvalid):
    """A single-use secret of which a newer one has been issued."""

    notice = "link-replaced"


class TokenEnded(TokenInvalid):
    """A secret that is not used up, of an account that has changed since it was issued."""

    notice = "link-ended"


class FeatureClosed(Forbidden):
    """What the settings of this instance switch off, whoever asks."""

    title = _("Switched off")
    default_message = _("This is switched off here.")


class Refused(GatehouseError):
    """A gate is closed for this person or client: `code` says why, `until` when it opens again.

    user_id: the person, where a credential has proved who it is.
    """

    status = 403
    title = _("Not allowed")

    def __init__(
        self,
        code: str,
        message: str,
        until: datetime | None = None,
        since: datetime | None = None,
        user_id: UUID | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.until, self.since, self.user_id = code, until, since, user_id


class AccessEnded(Refused):
    """What the person was let in by has ended since: signed out, or the password is another."""

    status = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", str(_("Please sign in.")))


class AccountGone(Refused):
    """The account has been deleted since its person was let in; he is a stranger now."""

    status = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", str(_("Please sign in.")))


class RateLimited(GatehouseError):
    """Too many tries; `retry_after_seconds` says when the next one counts."""

    code = "rate_limited"
    status = 429
    title = _("Too many tries")
    default_message = _("Too many tries. Wait a little and try again.")

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = max(1, retry_after_seconds)
        super().__init__()
