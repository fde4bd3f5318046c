"""The app that sends a request, by its client id and secret (RFC 6749, section 2.3.1).

In the header `Authorization: Basic`, both form-encoded, or in the fields `client_id` and
`client_secret` of the body. Never in the URL, which ends up in logs.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.rate_limits import check_rate_limit
from applications.errors import InvalidClient
from applications.models import App, AppSecret
from applications.secret_format import MAX_CLIENT_ID_LENGTH
from applications.services.secrets import secret_of_credentials
from audit import audit_log
from core.errors import RecordInvalid

LIMIT = "app-credentials"
ID_FIELD, SECRET_FIELD = "client_id", "client_secret"
# Of the encoded header: a client id and a secret, each form-encoded.
MAX_BASIC = 4096


class ClientCredentials(NamedTuple):
    """What the client sent; nothing is verified."""

    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id!r})"


def require_app(request: HttpRequest, form: Mapping[str, str]) -> App:
    """The app whose credentials the request has; see require_secret()."""
    return require_secret(request, form).app


def require_secret(request: HttpRequest, form: Mapping[str, str]) -> AppSecret:
    """The secret that the request has, with its app. form: the fields of its body.

    Wrong credentials count against the address, and those for an app that exists are audited.
    Right ones are never refused, whoever else tries. Raises InvalidClient, RateLimited; and
    RecordInvalid if they are both in the header and in the body.
    """
    given = client_credentials(request.META.get("HTTP_AUTHORIZATION"), form)
    if given is None:
        raise InvalidClient
    secret = secret_of_credentials(*given)
    if secret is None:
        check_rate_limit(request, LIMIT)
        record_failure(given.client_id)
        raise InvalidClient
    return secret


def client_credentials(header: str | None, form: Mapping[str, str]) -> ClientCredentials | None:
    """The credentials of a request; None if they are missing or cannot be read.

    header: of `Authorization`. Raises RecordInvalid; see require_secret().
    """
    if header is None:
        if not form.get(ID_FIELD) or not form.get(SECRET_FIELD):
            return None
        return ClientCredentials(form[ID_FIELD], form[SECRET_FIELD])
    found = _basic(header)
    if SECRET_FIELD in form or (found and form.get(ID_FIELD, found.client_id) != found.client_id):
        problem = _("Send the client id and the secret either in the header or in the body.")
        raise RecordInvalid({SECRET_FIELD: [problem]})
    return found


def _basic(header: str) -> ClientCredentials | None:
    scheme, _space, encoded = header.partition(" ")
    text = encoded.strip(" ")
    if scheme.lower() != "basic" or len(text) > MAX_BASIC:
        return None
    try:
        pair = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = pair.partition(":")
    if not colon or not client_id or not secret:
        return None
    return ClientCredentials(unquote_plus(client_id), unquote_plus(secret))


def record_failure(client_id: str) -> None:
    """Write an audit row about the app that was named, if there is one."""
    if "\0" in client_id or len(client_id) > MAX_CLIENT_ID_LENGTH:
        return
    app = App.objects.filter(client_id=client_id).first()
    if app is None:
        return
    with transaction.atomic():
        audit_log.record("sso:app:authenticate", target=app, result="refused", name=app.name)
