"""Sign-out at the provider (OpenID Connect RP-Initiated Logout 1.0)."""

from typing import NamedTuple

from django.http import HttpRequest

from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.errors import NotFound
from federation.oidc.authorization_code import with_query
from federation.oidc.discovery import DISCOVERED
from federation.oidc.errors import SignInFailed
from federation.providers import OIDC, Provider, find

SESSION_KEY = "_provider_sign_out"
ASSOCIATED_DATA = "session.id_token"


class ProviderLogout(NamedTuple):
    """The URL where the provider ends its own session."""

    url: str
    provider: Provider


def remember_logout(request: HttpRequest, provider: Provider, id_token: str) -> None:
    """Keep the provider and the encrypted ID token in the session, for the sign-out."""
    if provider.kind == OIDC and provider.ends_session:
        hint = encrypt(id_token, ASSOCIATED_DATA) if id_token else ""
        request.session[SESSION_KEY] = {"provider": provider.id, "hint": hint}


def prepare_logout(request: HttpRequest) -> ProviderLogout | None:
    """Call it before the session ends. None if the provider offers no sign-out or is down."""
    kept = request.session.get(SESSION_KEY)
    if not kept:
        return None
    try:
        provider = find(kept["provider"])
        hint = decrypt(kept["hint"], ASSOCIATED_DATA) if kept["hint"] else ""
        end = DISCOVERED.metadata(provider.issuer).end_session_endpoint
    except (NotFound, DecryptionError, SignInFailed):
        return None
    if not end or not provider.ends_session:
        return None
    query = {
        "client_id": provider.client_id,
        "post_logout_redirect_uri": provider.post_logout_url,
    }
    url = with_query(end, {**query, "id_token_hint": hint}) if hint else with_query(end, query)
    if len(url) > provider.max_logout_url:
        url = with_query(end, query)
    return ProviderLogout(url, provider)
