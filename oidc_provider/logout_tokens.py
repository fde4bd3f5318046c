"""Logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.4)."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings

from applications.models import App
from oidc_provider.signing import signed_for
from oidc_provider.subjects import session_of, subject_of

TYP = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Section 4: so short that a stolen one is worth little.
LIFETIME = timedelta(minutes=2)


def logout_token(app: App, *, user_id: uuid.UUID, sid: uuid.UUID, now: datetime) -> str:
    """Says that this sign-in of the user has ended. It has no nonce, so it is no ID token."""
    claims = {
        "iss": settings.PUBLIC_URL,
        "aud": app.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFETIME).timestamp()),
        "jti": str(uuid.uuid4()),
        "sub": subject_of(app, user_id),
        "sid": session_of(app, sid),
        "events": {EVENT: {}},
    }
    return signed_for(app, claims, TYP)
