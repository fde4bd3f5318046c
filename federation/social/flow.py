"""Sign-in through allauth's OAuth 2.0 providers.

allauth knows endpoints, scopes and profiles of each provider. Its views and tables are not used:
authorization requests, identities and the sign-in itself are ours (docs/decisions/0016-social.md).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from django.http import HttpRequest

from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.errors import SignInFailed
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo

logger = logging.getLogger(__name__)

MAX_CODE_LENGTH = 4096
# How providers say that the address beside it is verified. It counts if it is literally true.
VERIFIED_NAMES = frozenset({"email_verified", "verified_email", "is_email_verified", "verified"})


class Exchange(NamedTuple):
    """allauth's objects for one request to `provider`."""

    provider: Any
    adapter: Any
    client: Any

    @property
    def uses_pkce(self) -> bool:
        """Is a verifier sent with the code? Clients of their own, and those by GET, send none."""
        is_by_form = self.adapter.access_token_method != "GET"  # noqa: S105 - a method
        is_usual = type(self.client) is OAuth2Client and is_by_form
        return is_usual and self.provider.get_settings().get("OAUTH_PKCE_ENABLED") is not False


class SocialFlow:
    """The flow of every kind but OIDC; see federation.flow.Flow."""

    def authorize_url(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> str:
        """The URL of the consent page, with state and PKCE challenge."""
        with library_failures(provider):
            exchange = exchange_of(request, provider, pending)
            params = exchange.provider.get_auth_params()
            if getattr(exchange.provider, "sends_nonce", False):
                params["nonce"] = pending.nonce
            if exchange.uses_pkce:
                params |= {"code_challenge": pending.challenge, "code_challenge_method": "S256"}
            exchange.client.state = pending.state
            url: str = exchange.client.get_redirect_url(
                _known(exchange.adapter.authorize_url), exchange.provider.get_scope(), params
            )
        return url

    def finish(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> ExternalUserInfo:
        """Exchange the code for a token, and request the user's profile with it."""
        if not 0 < len(request.GET.get("code", "")) <= MAX_CODE_LENGTH:
            raise SignInFailed("provider_error", "no code")
        with library_failures(provider):
            exchange = exchange_of(request, provider, pending)
            answer = exchange.adapter.get_access_token_data(
                request,
                exchange.provider.app,
                exchange.client,
                pkce_code_verifier=pending.verifier if exchange.uses_pkce else None,
            )
            _check_access_token(answer)
            token = exchange.adapter.parse_token(answer)
            login = exchange.adapter.complete_login(
                request, exchange.provider.app, token, response=answer
            )
            return _user_info(provider, login)

    def token_url(self, provider: Provider) -> str:
        """The URL of the token endpoint. Raises SignInFailed if `provider` lacks a setting."""
        with library_failures(provider):
            return _known(exchange_of(HttpRequest(), provider).adapter.access_token_url)


def exchange_of(
    request: HttpRequest, provider: Provider, pending: AuthorizationRequest | None = None
) -> Exchange:
    """allauth's provider, adapter and client for `provider`."""
    user_agent = provider.options.get("user_agent")
    if user_agent:
        request.provider_user_agent = user_agent  # type: ignore[attr-defined]
    found = get_adapter(request).get_provider(request, provider.kind)
    adapter = found.get_oauth2_adapter(request)
    # allauth would look for the URL names of its own views.
    adapter.get_callback_url = lambda *_: provider.redirect_uri
    adapter.nonce = pending.nonce if pending else ""
    return Exchange(found, adapter, adapter.get_client(request, found.app))


@contextmanager
def library_failures(provider: Provider) -> Iterator[None]:
    """Turn every failure of allauth's code into SignInFailed.

    It reads the answers of providers without checks, so they can raise anything. The text of an
    exception may hold the answer, so only its type and place are logged.
    """
    try:
        yield
    except SignInFailed:
        raise
    except Exception as error:
        kind, place = type(error).__name__, extract_tb(error.__traceback__)[-1]
        logger.warning(
            "%s: %s in %s, line %s, because of its settings or its answer",
            provider.id,
            kind,
            place.filename,
            place.lineno,
        )
        raise SignInFailed("provider_error", kind) from None


def _known(url: str) -> str:
    """`url`, if its host is one: allauth makes `https://None/` of a missing setting.

    Of Nextcloud it makes `https://nextcloud.example.org/`.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_unset = host in ("", "none") or host.endswith(".example.org")
    if parts.scheme not in ("http", "https") or is_unset:
        raise SignInFailed("provider_error", "a setting of the provider's server is missing")
    return url


def _check_access_token(answer: Any) -> None:
    """Raise SignInFailed unless the answer has a token that can stand in a header."""
    token = answer.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise SignInFailed("provider_error", "no access token")


def _user_info(provider: Provider, login: Any) -> ExternalUserInfo:
    """The user of allauth's SocialLogin. User names are not used."""
    address = login.email_addresses[0] if login.email_addresses else None
    email = address.email if address else ""
    is_verified = bool(address and address.verified) and _says_verified(login.response, email)
    return ExternalUserInfo(
        subject=login.account.uid,
        issuer=provider.issuer,
        email=email,
        email_verified=is_verified or (bool(email) and provider.assumes_email_verified),
        name=login.user.name,
        claims={"profile": _plain_profile(login.account.extra_data)},
    )


def _plain_profile(answer: Any) -> dict[str, Any]:
    """The values of the profile that are plain: for groups, and to be shown in a test."""
    fields = answer.items() if isinstance(answer, dict) else ()
    return {str(name): value for name, value in fields if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """A text, number, truth value, or a list of texts, such as the groups of GitLab."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str | int | bool)


def _says_verified(value: Any, email: str) -> bool:
    """Does the answer say literally `true` beside the address, and nothing else?

    allauth takes any truthy value, and assumes true for some providers that say nothing.
    """
    if isinstance(value, list):
        return any(_says_verified(each, email) for each in value)
    if not isinstance(value, dict):
        return False
    texts = [each.lower() for each in value.values() if isinstance(each, str)]
    said = [value[name] for name in VERIFIED_NAMES & value.keys()]
    if email.lower() in texts and said:
        return all(each is True for each in said)
    return any(_says_verified(each, email) for each in value.values())
