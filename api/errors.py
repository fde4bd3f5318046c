"""Errors of the API; see also core.errors."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from core.errors import BadCredentials, Forbidden, GatehouseError

MAX_NAME_LENGTH = 80


class NotAuthenticated(GatehouseError):
    """The request has no credential but needs one."""

    code = "not_authenticated"
    status = 401
    title = _("Sign-in needed")
    default_message = _("Send an access token, an API key, or both.")

    def __init__(self) -> None:
        both = _("Send an API key and an access token, both with each request.")
        super().__init__(both if settings.REQUIRE_API_KEY_AND_TOKEN else None)


class AccessTokenInvalid(GatehouseError):
    """A token that is malformed, not ours, of another kind, or revoked."""

    code = "token_invalid"
    status = 401
    title = _("Token not valid")
    default_message = _("This token is not valid.")


class AccessTokenExpired(AccessTokenInvalid):
    """An expired token."""

    code = "token_expired"
    title = _("Token expired")
    default_message = _("This token has expired.")


class UnknownParameter(GatehouseError):
    """A parameter of the query string that the list does not have."""

    code = "invalid"
    status = 400
    title = _("Unknown parameter")
    default_message = _("The query string has a parameter that this list does not have.")

    def __init__(self, name: str, near: str) -> None:
        shown = name[:MAX_NAME_LENGTH].encode(errors="replace").decode()
        if near:
            text = _("There is no parameter “%(name)s”. Did you mean “%(near)s”?")
        else:
            text = _("There is no parameter “%(name)s”.")
        super().__init__(text % {"name": shown, "near": near})


class ApiKeyInvalid(GatehouseError):
    """An API key that is malformed, unknown, revoked, expired or not allowed from this address."""

    code = "api_key_invalid"
    status = 403
    title = _("API key not valid")
    default_message = _("This API key is not valid.")


class ScopeMissing(Forbidden):
    """The API key does not have this scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(_("This needs an API key with the scope “%(scope)s”.") % {"scope": scope})


class CsrfFailed(Forbidden):
    """A change with a session or cookie, without a valid CSRF token or origin."""

    code = "csrf_failed"
    title = _("CSRF check failed")
    default_message = _(
        "A change with the session cookie needs the header X-CSRF-Token. Copy its value from that "
        "header of any response to a GET request."
    )


class Unreadable(GatehouseError):
    """The body is not valid JSON."""

    code = "malformed"
    status = 400
    title = _("Unreadable request")
    default_message = _("The body of this request is not valid JSON.")


class MethodNotAllowed(GatehouseError):
    """The path does not support this method."""

    code = "method_not_allowed"
    status = 405
    title = _("Method not allowed")
    default_message = _("This path does not support that method.")


class NotAcceptable(GatehouseError):
    """The client accepts no JSON."""

    code = "not_acceptable"
    status = 406
    title = _("Only JSON is available")
    default_message = _("This path responds in JSON only.")


class TooLarge(GatehouseError):
    """The body is too large."""

    code = "too_large"
    status = 413
    title = _("Too large")
    default_message = _("The body of this request is too large.")


class NotJson(GatehouseError):
    """The media type of the body is not JSON."""

    code = "unsupported_media_type"
    status = 415
    title = _("Unsupported media type")
    default_message = _("Send the body as JSON, with the header Content-Type: application/json.")


class EmailUnverified(Forbidden):
    """The password is correct, but the email address is not verified."""

    code = "email_unverified"
    title = _("Address not verified")
    default_message = _(
        "Verify your email address first: we have mailed you a link. Then sign in again."
    )


class OtpRequired(BadCredentials):
    """The password is correct, and the account needs its second factor."""

    code = "otp_required"
    title = _("Second factor needed")
    default_message = _("Send the code of your second factor as `otp`, with the password again.")


class OtpInvalid(BadCredentials):
    """The password is correct, but the code of the second factor is not."""

    code = "otp_invalid"
    title = _("Wrong code")
    default_message = _("The code of the second factor is wrong.")
