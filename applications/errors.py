"""Errors of requests by apps; see also api.errors."""

from types import MappingProxyType

from django.utils.translation import gettext_lazy as _

from api.errors import NotJson
from core.errors import GatehouseError


class InvalidClient(GatehouseError):
    """The client id and secret of an app are missing or wrong (RFC 6749, section 5.2)."""

    code = "invalid_client"
    status = 401
    title = _("App not known")
    default_message = _("Send the client id and a secret of an app that work together.")
    challenge = 'Basic realm="Gatehouse", charset="UTF-8"'
    # For clients that read the errors of OAuth.
    members = MappingProxyType({"error": "invalid_client"})


class NotForm(NotJson):
    """The body of a question is no form."""

    default_message = _(
        "Send the body as a form, with the header Content-Type: application/x-www-form-urlencoded."
    )
