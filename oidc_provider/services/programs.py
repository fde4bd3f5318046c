"""Tokens of programs: the client credentials grant (RFC 6749, section 4.4)."""

import uuid
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from applications.models import App
from core.locks import lock_users
from oidc_provider import tokens
from oidc_provider.entry import program_denial
from oidc_provider.errors import ProtocolError
from oidc_provider.models import Grant


def issue_token(app: App, scope: tuple[str, ...]) -> dict[str, Any]:
    """The answer of the token endpoint to a program whose credentials were right.

    There is no refresh token, because the program can ask again (RFC 6749, section 4.4.3). Raises
    ProtocolError unless the service account of the app may act now.
    """
    account_id = uuid.UUID(app.service_account) if app.service_account else None
    with transaction.atomic():
        lock_users(account_id)
        user = User.objects.filter(pk=account_id).first()
        denial = program_denial(app, user)
        if denial is not None or user is None:
            raise ProtocolError(
                "unauthorized_client",
                f"The service account of this app may not act now: {denial and denial.code}.",
            )
        now = user.issue_time(timezone.now())
        grant = Grant.objects.create(
            app=app,
            user=user,
            sid=uuid.uuid4(),
            scope=" ".join(scope),
            seed=token_urlsafe(32),
            auth_time=now,
            created_at=now,
            refreshed_at=now,
            expires_at=now + settings.SESSION_EXPIRY,
        )
    ends = int(grant.expires_at.timestamp())
    return {
        "access_token": tokens.access_token(grant, ends, scope),
        "token_type": "Bearer",
        "expires_in": ends - int(now.timestamp()),
        "scope": grant.scope,
    }
