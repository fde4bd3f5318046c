"""Sign in with Apple: a signed client secret, an ID token, and a callback by POST.

The cross-site POST arrives without our SameSite=Lax cookies, so the callback redirects it to a GET
with the same parameters, which validates everything.
"""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from allauth.socialaccount.providers.apple.views import AppleOAuth2Adapter
from django.http import HttpRequest
from django.utils import timezone

from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.discovery import Metadata
from federation.oidc.errors import SignInFailed
from federation.oidc.idtokens import TokenCheck
from federation.oidc.keys import FetchedKeys
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo
from federation.social.flows import SocialFlow, access_token, get_str, subject

logger = logging.getLogger(__name__)

ISSUER = "https://appleid.apple.com"
ALGORITHMS = ("RS256", "ES256")
SECRET_SECONDS = 300
MAX_USER_LENGTH = 2000


class AppleFlow(SocialFlow):
    """The ID token identifies the user; their name comes once, beside the first response."""

    authorize_endpoint = AppleOAuth2Adapter.authorize_url
    token_endpoint = AppleOAuth2Adapter.access_token_url
    keys_endpoint = AppleOAuth2Adapter.public_key_url
    supports_pkce = False

    def extra_query(self, pending: AuthorizationRequest) -> dict[str, str]:
        """Apple sends name and address only with form_post."""
        return {"response_mode": "form_post", "nonce": pending.nonce}

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        claims = _claims(self, provider, pending, answer)
        return ExternalUserInfo(
            subject=subject(claims.get("sub")),
            email=get_str(claims, "email"),
            email_verified=_is_verified(claims.get("email_verified")),
            name=_name(request.GET.get("user", "")),
        )

    def client_secret(self, provider: Provider) -> str:
        """A JWT signed with the team's key, valid for five minutes."""
        now = int(timezone.now().timestamp())
        claims = {
            "iss": provider.options["team_id"],
            "sub": provider.client_id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + SECRET_SECONDS,
        }
        headers = {"kid": provider.options["key_id"]}
        try:
            return jwt.encode(claims, provider.options["private_key"], "ES256", headers)
        except (ValueError, TypeError, jwt.InvalidKeyError):
            logger.warning("APPLE_PRIVATE_KEY_PATH holds no key for ES256")
            raise SignInFailed("provider_error", "the private key is unusable") from None


def _claims(
    flow: AppleFlow, provider: Provider, pending: AuthorizationRequest, answer: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The validated claims of the ID token. Raises SignInFailed."""
    keys_url = flow.endpoint(provider, "keys")
    metadata = Metadata(
        issuer=ISSUER,
        authorization_endpoint=flow.endpoint(provider, "authorize"),
        token_endpoint=flow.endpoint(provider, "token"),
        jwks_uri=keys_url,
        algorithms=ALGORITHMS,
    )
    check = TokenCheck(provider, metadata, _keys(keys_url), pending.nonce)
    return check.id_claims(get_str(answer, "id_token"), access_token=access_token(answer))


@lru_cache(maxsize=8)
def _keys(url: str) -> FetchedKeys:
    """The keys, cached for each process."""
    return FetchedKeys(ISSUER, url)


def _is_verified(claim: Any) -> bool:
    """Apple documents a boolean, or a string with the same content."""
    return claim is True or claim == "true"


def _name(text: str) -> str:
    """First and last name from the unsigned form field `user`, or ""."""
    try:
        user = json.loads(text) if 0 < len(text) <= MAX_USER_LENGTH else {}
    except (ValueError, RecursionError):
        return ""
    name = user.get("name") if isinstance(user, dict) else None
    if not isinstance(name, dict):
        return ""
    return f"{get_str(name, 'firstName')} {get_str(name, 'lastName')}".strip()
