"""Failures that only programs meet; see also core.errors."""

from django.utils.translation import gettext_lazy as _

from core.errors import BadCredentials, Forbidden, GatehouseError


class NotAuthenticated(GatehouseError):
    """No credential came where one is needed."""

    code = "not_authenticated"
    status = 401
    title = _("Sign-in needed")
    default_message = _("Send an access token, an API key, or both.")


class AccessTokenInvalid(GatehouseError):
    """A token that is not ours, not whole, of another kind, or of an access that has ended."""

    code = "token_invalid"
    status = 401
    title = _("Token not valid")
    default_message = _("This token is not valid.")


class AccessTokenExpired(AccessTokenInvalid):
    """A token of ours that has ended by itself."""

    code = "token_expired"
    title = _("Token expired")
    default_message = _("This token has expired.")


class ApiKeyInvalid(GatehouseError):
    """An API key that is mistyped, unknown, revoked, expired or used from elsewhere."""

    code = "api_key_invalid"
    status = 403
    title = _("API key not valid")
    default_message = _("This API key is not valid.")


class ScopeMissing(Forbidden):
    """The API key was made without this right."""

    def __init__(self, scope: str) -> None:
        super().__init__(_("This needs an API key with the scope “%(scope)s”.") % {"scope": scope})


class CsrfFailed(Forbidden):
    """A change by session or cookie without proof that our own page sent it."""

    code = "csrf_failed"
    title = _("Not sent by our own page")
    default_message = _(
        "A change with the session cookie needs the header X-CSRF-Token, with the value that the "
        "same header of an earlier answer to a GET had."
    )


class Unreadable(GatehouseError):
    """The request cannot be read as the JSON that was asked for."""

    code = "malformed"
    status = 400
    title = _("Unreadable request")
    default_message = _("The body of this request is not readable JSON.")


class MethodNotAllowed(GatehouseError):
    """The path is there and does not know this method."""

    code = "method_not_allowed"
    status = 405
    title = _("Method not allowed")
    default_message = _("This path does not take that method.")


class NotAcceptable(GatehouseError):
    """The client wants something else than JSON."""

    code = "not_acceptable"
    status = 406
    title = _("Only JSON is here")
    default_message = _("This path answers in JSON and in nothing else.")


class TooLarge(GatehouseError):
    """The body is longer than any record of ours."""

    code = "too_large"
    status = 413
    title = _("Too large")
    default_message = _("The body of this request is too large.")


class NotJson(GatehouseError):
    """The body is of another type than JSON."""

    code = "unsupported_media_type"
    status = 415
    title = _("Only JSON is read")
    default_message = _("Send the body as JSON, with the header Content-Type: application/json.")


class EmailUnverified(Forbidden):
    """The password is right, and nobody has proved to own the address yet."""

    code = "email_unverified"
    title = _("Address not verified")
    default_message = _(
        "Verify your address first: a link for that has been mailed to it. Then sign in again."
    )


class OtpRequired(BadCredentials):
    """The password is right, and the account has a second factor."""

    code = "otp_required"
    title = _("Second factor needed")
    default_message = _("Send the code of your second factor as `otp`, with the password again.")


class OtpInvalid(BadCredentials):
    """The password is right, the code of the second factor is not."""

    code = "otp_invalid"
    title = _("Wrong code")
    default_message = _("The code of the second factor is not right.")
