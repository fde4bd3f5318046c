"""Sign in with Apple: a validated ID token instead of a profile, and a callback by POST.

The cross-site POST arrives without our SameSite=Lax cookies, so the callback redirects it to a GET
with the same parameters, which validates everything. allauth keeps them in a session of its own.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers.apple.provider import AppleProvider as AllauthApple
from allauth.socialaccount.providers.apple.views import AppleOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest

from federation.oidc.discovery import Metadata
from federation.oidc.idtokens import TokenCheck
from federation.oidc.keys import FetchedKeys

ISSUER = "https://appleid.apple.com"
ALGORITHMS = ("RS256", "ES256")
MAX_USER_LENGTH = 2000


class AppleAdapter(AppleOAuth2Adapter):
    """The ID token is checked with its nonce, and with keys that are cached."""

    nonce = ""

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> Any:
        return client.get_access_token(request.GET["code"])

    def parse_token(self, data: Mapping[str, Any]) -> SocialToken:
        """The token, with the validated claims as `user_data`. Raises SignInFailed."""
        token = SocialToken(token=data["access_token"])
        provider = next(each for each in settings.SIGN_IN_PROVIDERS if each.kind == "apple")
        metadata = Metadata(
            issuer=ISSUER,
            authorization_endpoint=self.authorize_url,
            token_endpoint=self.access_token_url,
            jwks_uri=self.public_key_url,
            algorithms=ALGORITHMS,
        )
        check = TokenCheck(provider, metadata, _keys(self.public_key_url), self.nonce)
        id_token = data.get("id_token")
        claims = check.id_claims(
            id_token if isinstance(id_token, str) else "", access_token=token.token
        )
        # Apple documents a boolean, or a string with the same content.
        said = claims.get("email_verified")
        token.user_data = {**claims, "email_verified": said is True or said == "true"}
        return token

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **_kwargs: Any) -> Any:
        response = {**token.user_data, "name": _name(request.GET.get("user", ""))}
        return self.get_provider().sociallogin_from_response(request, response)


class AppleProvider(AllauthApple):
    """Asks for a code alone, not also for an ID token through the browser."""

    oauth2_adapter_class = AppleAdapter
    sends_nonce = True

    def get_auth_params(self) -> dict[str, str]:
        return {**super().get_auth_params(), "response_type": "code"}


@lru_cache(maxsize=8)
def _keys(url: str) -> FetchedKeys:
    """The keys, cached for each process."""
    return FetchedKeys(ISSUER, url)


def _name(text: str) -> dict[str, str]:
    """`firstName` and `lastName` of the unsigned form field `user`; it comes once."""
    try:
        user = json.loads(text) if 0 < len(text) <= MAX_USER_LENGTH else {}
    except (ValueError, RecursionError):
        return {}
    name = user.get("name") if isinstance(user, dict) else None
    if not isinstance(name, dict):
        return {}
    return {
        part: name[part] for part in ("firstName", "lastName") if isinstance(name.get(part), str)
    }
