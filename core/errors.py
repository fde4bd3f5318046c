"""Every error that Gatehouse reports: one class each, with a stable code and an HTTP status."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from core.text.time_spans import format_span


class GatehouseError(Exception):
    """A refusal, with a message for users and a `code` for programs.

    status: the HTTP status of the page or of the API response (RFC 9457).
    """

    code = "server_error"
    status = 500
    # The RFC 9457 "title": the same for every error of a kind.
    title = _("Something went wrong")
    default_message = _("Something went wrong on our side.")
    # WWW-Authenticate of a 401, and further members of the problem document.
    challenge = ""
    members: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: Any = None) -> None:
        self.message = str(message or self.default_message)
        super().__init__(self.message)

    @property
    def sentences(self) -> str:
        """The message without field names."""
        return self.message


class Forbidden(GatehouseError):
    """The actor's role does not allow the action."""

    code = "forbidden"
    status = 403
    title = _("Not allowed")
    default_message = _("Your role does not allow this.")


class LastOwner(Forbidden):
    """The action would leave the instance without an active owner."""

    code = "last_owner"
    default_message = _(
        "This is the last active owner. Make another user owner first, then try again."
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
        """The messages without field names."""
        return " ".join(text for texts in self.errors.values() for text in texts)


class CannotUndo(GatehouseError):
    """A change of the audit log cannot be taken back, or not any more."""

    code = "cannot_undo"
    status = 409
    title = _("It cannot be undone")
    default_message = _("This cannot be undone.")


class ConfirmationNeeded(Forbidden):
    """The action needs a sign-in or a confirmation within the last 15 minutes."""

    code = "confirmation_needed"
    title = _("Confirm that it is you")
    default_message = _(
        "It is a while since you signed in. Open /confirm in the browser, confirm that it is you, "
        "then try again."
    )


class RepeatedParameter(GatehouseError):
    """A parameter that takes one value was sent several times, so its meaning is unclear."""

    code = "repeated_parameter"
    status = 400
    title = _("Sent twice")
    default_message = _("A name was sent more than once. Send it once.")

    def __init__(self, name: str) -> None:
        text = _("“%(name)s” was sent more than once. Send it once.")
        super().__init__(text % {"name": name[:80]})


class BadCredentials(GatehouseError):
    """Wrong email address or password; the same error for an unknown account (ASVS 6.3.8)."""

    code = "bad_credentials"
    status = 401
    title = _("Wrong credentials")
    default_message = _("The email address or password is incorrect.")


class OwnPasswordWrong(BadCredentials):
    """The password that a signed-in user was asked for is wrong.

    errors: further errors of the form, as in RecordInvalid. They must not depend on other accounts.
    """

    default_message = _("This is not your password.")

    def __init__(self, errors: dict[str, list[str]] | None = None) -> None:
        self.errors = errors or {}
        super().__init__()


class TokenInvalid(GatehouseError):
    """A single-use token that is unknown, or was issued for another purpose.

    notice: which notice the sign-in page shows. email: the address of its account, "" if unknown.
    """

    code = "token_invalid"
    # Has the token been used already?
    is_use = False
    title = _("Not valid")
    notice = "link-unknown"
    status = 401
    default_message = _("This link is not valid any more.")

    def __init__(self, message: str | None = None, *, email: str = "") -> None:
        super().__init__(message)
        self.email = email


class TokenExpired(TokenInvalid):
    """A single-use token that has expired."""

    code = "token_expired"
    title = _("Expired")
    notice = "link-expired"
    default_message = _("This link has expired.")


class TokenUsed(TokenInvalid):
    """A single-use token that has been used. `notice` names the outcome."""

    notice = "link-used"
    is_use = True

    def __init__(self, *, email: str = "", notice: str = "") -> None:
        super().__init__(email=email)
        self.notice = notice or self.notice


class TokenReplaced(TokenInvalid):
    """A single-use token that a newer one has replaced."""

    notice = "link-replaced"


class TokenEnded(TokenInvalid):
    """An unused token whose account has changed since it was issued."""

    notice = "link-ended"


class FeatureClosed(Forbidden):
    """The settings of this instance switch the feature off for every user."""

    title = _("Switched off")
    default_message = _("This is switched off here.")


class AccessDenied(GatehouseError):
    """The access policy denies this user or client: `code` says why, `until` how long.

    user_id: the user, if a valid credential identified them.
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


class AccessEnded(AccessDenied):
    """The session or credential of the request has been revoked while it ran."""

    status = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", str(_("Please sign in.")))


class UserDeleted(AccessDenied):
    """The account has been deleted while the request ran."""

    status = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", str(_("Please sign in.")))


class SourceUnavailable(GatehouseError):
    """An account source that has to be asked, such as the LDAP directory, does not answer."""

    code = "directory_unavailable"
    status = 503
    default_message = _("The directory does not answer at the moment. Try again in a few minutes.")


class RateLimited(GatehouseError):
    """Too many attempts; the next one is possible after `retry_after_seconds`."""

    code = "rate_limited"
    status = 429
    title = _("Too many attempts")
    default_message = _("Too many attempts. Try again later.")
    timed_message = _("Too many attempts. Try again %(span)s.")

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = max(1, retry_after_seconds)
        span = format_span(timedelta(seconds=self.retry_after_seconds))
        super().__init__(self.timed_message % {"span": span})
