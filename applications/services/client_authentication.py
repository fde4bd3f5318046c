"""The app that sends a request, by a secret or by a signed assertion; see the modules of both."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.rate_limits import check_rate_limit
from applications.errors import InvalidClient
from applications.models import App
from applications.services.client_assertions import (
    ASSERTION_FIELD,
    TYPE_FIELD,
    app_of_assertion,
    claimed_client,
)
from applications.services.client_credentials import (
    LIMIT,
    SECRET_FIELD,
    record_failure,
    require_secret,
)
from core.errors import RecordInvalid


class AuthenticatedClient(NamedTuple):
    """is_repeatable: the same bytes prove the same again, as a secret does. ends: of the secret."""

    app: App
    is_repeatable: bool
    ends: datetime | None


def require_client(request: HttpRequest, form: Mapping[str, str]) -> AuthenticatedClient:
    """The app whose secret or assertion the request has. form: the fields of its body.

    Failures count and are audited; see require_secret(). Raises InvalidClient, RateLimited; and
    RecordInvalid if there is more than one proof (RFC 6749, section 2.3).
    """
    if ASSERTION_FIELD not in form and TYPE_FIELD not in form:
        secret = require_secret(request, form)
        return AuthenticatedClient(secret.app, True, secret.expires_at)
    if SECRET_FIELD in form or "HTTP_AUTHORIZATION" in request.META:
        raise RecordInvalid({SECRET_FIELD: [_("Send either a secret or an assertion.")]})
    try:
        return AuthenticatedClient(app_of_assertion(form), False, None)
    except InvalidClient:
        check_rate_limit(request, LIMIT)
        record_failure(claimed_client(form))
        raise
