"""The authorization code flow of OpenID Connect with PKCE (RFC 9700)."""

import base64
import hmac
import logging
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from django.http import HttpRequest

from core.http import FetchError, fetch_json, post_form
from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.claims import user_info_of
from federation.oidc.discovery import DISCOVERED, Metadata
from federation.oidc.errors import SignInFailed
from federation.oidc.idtokens import Claims, TokenCheck, reject
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo

logger = logging.getLogger(__name__)
MAX_CODE_LENGTH = 4096


class OpenIDConnect:
    """The flow of every provider of kind OIDC."""

    def authorize_url(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> str:
        metadata = DISCOVERED.metadata(provider.issuer)
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": provider.redirect_uri,
            "scope": " ".join(provider.scopes),
            "state": pending.state,
        }
        if provider.uses_nonce:
            query["nonce"] = pending.nonce
        if provider.uses_pkce:
            query |= {"code_challenge": pending.challenge, "code_challenge_method": "S256"}
        if provider.audience:
            query["audience"] = provider.audience
        return with_query(metadata.authorization_endpoint, query)

    def finish(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> ExternalUserInfo:
        metadata = DISCOVERED.metadata(provider.issuer)
        check_issuer_of_answer(request, metadata)
        code = request.GET.get("code", "")
        if not 0 < len(code) <= MAX_CODE_LENGTH:
            raise SignInFailed("provider_error", "the response has no code")
        tokens = _exchange_code(provider, metadata, pending, code)
        id_token, access_token = _get_str(tokens, "id_token"), _get_str(tokens, "access_token")
        nonce = pending.nonce if provider.uses_nonce else ""
        check = TokenCheck(provider, metadata, DISCOVERED.keys(metadata), nonce)
        id_claims = check.id_claims(id_token, access_token=access_token)
        claims = {
            "id": id_claims,
            "userinfo": _userinfo(metadata, access_token, id_claims["sub"]),
            "access": check.access_claims(access_token, id_claims["sub"]),
        }
        return user_info_of(provider, claims, id_token)


def with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"


def check_issuer_of_answer(request: HttpRequest, metadata: Metadata) -> None:
    """Reject a response of another provider, or one that should name its issuer (RFC 9207)."""
    named = request.GET.get("iss", "")
    if not named and metadata.returns_issuer:
        reject("the response does not name its issuer")
    if named and not hmac.compare_digest(named.encode(), metadata.issuer.encode()):
        reject("the response of another provider")


def _exchange_code(
    provider: Provider, metadata: Metadata, pending: AuthorizationRequest, code: str
) -> dict[str, Any]:
    """Exchange `code` for tokens. Raises SignInFailed."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": provider.redirect_uri,
    }
    if provider.uses_pkce:
        fields["code_verifier"] = pending.verifier
    proof, headers = _client_authentication(provider, metadata)
    try:
        status, answer = post_form(metadata.token_endpoint, {**fields, **proof}, headers)
    except FetchError as error:
        logger.warning("Cannot fetch tokens of %s: %s", provider.id, error)
        raise SignInFailed("provider_unreachable", "the token endpoint does not answer") from None
    if status != 200:
        # Only the error code, which RFC 6749 limits to ASCII; descriptions are untrusted.
        error_code = _plain(_get_str(answer, "error"))
        logger.warning("%s issued no tokens: status %s, %s", provider.id, status, error_code)
        raise SignInFailed("provider_error", f"token endpoint: {status} {error_code}")
    return answer


def _client_authentication(
    provider: Provider, metadata: Metadata
) -> tuple[dict[str, str], dict[str, str]]:
    """(fields, headers) of the client authentication: HTTP Basic unless only the form works."""
    methods = metadata.auth_methods
    if "client_secret_post" in methods and "client_secret_basic" not in methods:
        return {"client_id": provider.client_id, "client_secret": provider.client_secret}, {}
    # RFC 6749, section 2.3.1: each half is form-encoded first.
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
    return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _userinfo(metadata: Metadata, access_token: str, subject: str) -> Claims:
    """The userinfo claims of `subject`; {} if there is no endpoint or it refuses.

    Raises SignInFailed if the claims are of another subject, or the endpoint does not answer.
    """
    if not metadata.userinfo_endpoint or not access_token:
        return {}
    try:
        found = fetch_json(
            metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access_token}"}
        )
    except FetchError as error:
        if 400 <= error.status < 500:
            logger.info("No userinfo from %s: %s", metadata.issuer, error)
            return {}
        raise SignInFailed(
            "provider_unreachable", "the userinfo endpoint does not answer"
        ) from None
    if found.get("sub") != subject:
        reject("userinfo of another subject")
    return found


def _plain(code: str) -> str:
    """An error code, limited to safe characters."""
    return "".join(character for character in code[:60] if character.isalnum() or character == "_")


def _get_str(document: dict[str, Any], name: str) -> str:
    found = document.get(name)
    return found if isinstance(found, str) else ""
