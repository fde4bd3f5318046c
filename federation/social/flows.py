"""The common flow of social providers: OAuth 2.0 with a code, then the user's profile.

Endpoints are those of allauth's adapters. Its clients are not used, because they neither limit
responses nor refuse redirects, and accept any truthy value as a verified address.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.errors import SignInFailed
from federation.oidc.flow import redirect_uri
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo
from federation.social.http import request_object

MAX_SUBJECT_LENGTH = 255
MAX_CODE_LENGTH = 4096
# Some providers refuse the user agents of libraries.
USER_AGENT = "Gatehouse"


class SocialFlow:
    """One kind of provider; see federation.oidc.flow.Flow."""

    authorize_endpoint = ""
    token_endpoint = ""
    profile_endpoint = ""
    scope_delimiter = " "
    supports_pkce = True

    def authorize_url(self, provider: Provider, pending: AuthorizationRequest) -> str:
        """The URL of the consent page, with state and PKCE challenge."""
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri(provider),
            "scope": self.scope_delimiter.join(provider.scopes),
            "state": pending.state,
            **self.extra_query(pending),
        }
        if self.uses_pkce(provider):
            query |= {"code_challenge": pending.challenge, "code_challenge_method": "S256"}
        return f"{self.endpoint(provider, 'authorize')}?{urlencode(query)}"

    def finish(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> ExternalUserInfo:
        """Exchange the code for a token, and request the user's profile with it."""
        code = request.GET.get("code", "")
        if not code or len(code) > MAX_CODE_LENGTH:
            raise SignInFailed("provider_error", "no code")
        answer = self.exchange_code(provider, pending, code)
        found = self.user_info(request, provider, pending, answer)
        if provider.assumes_email_verified and found.email:
            return replace(found, email_verified=True)
        return found

    def exchange_code(
        self, provider: Provider, pending: AuthorizationRequest, code: str
    ) -> dict[str, Any]:
        """The response of the token endpoint. Raises SignInFailed."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri(provider),
            "client_id": provider.client_id,
            "client_secret": self.client_secret(provider),
        }
        if self.uses_pkce(provider):
            form["code_verifier"] = pending.verifier
        url = self.endpoint(provider, "token")
        return request_object(url, headers=self.headers(provider), form=form)

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        """The user. answer: the response of the token endpoint."""
        raise NotImplementedError

    def profile(self, provider: Provider, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The user's profile, requested with the access token in `answer`."""
        headers = self.bearer(provider, answer)
        return request_object(self.endpoint(provider, "profile"), headers=headers)

    def bearer(self, provider: Provider, answer: Mapping[str, Any]) -> dict[str, str]:
        """Headers with the access token of `answer`."""
        return {**self.headers(provider), "Authorization": f"Bearer {access_token(answer)}"}

    def headers(self, provider: Provider) -> dict[str, str]:
        return {"User-Agent": provider.options.get("user_agent") or USER_AGENT}

    def client_secret(self, provider: Provider) -> str:
        return provider.client_secret

    def extra_query(self, pending: AuthorizationRequest) -> dict[str, str]:
        """Further parameters of the consent page."""
        return {}

    def uses_pkce(self, provider: Provider) -> bool:
        return self.supports_pkce and provider.uses_pkce

    def endpoint(self, provider: Provider, name: str) -> str:
        """The URL of `name` (authorize, token, profile). The option `<name>_url` overrides it."""
        default: str = getattr(self, f"{name}_endpoint")
        return provider.options.get(f"{name}_url") or default


def access_token(answer: Mapping[str, Any]) -> str:
    """The access token of a response. GitHub reports errors with status 200."""
    token = answer.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise SignInFailed("provider_error", f"no token: {str(answer.get('error', ''))[:80]!r}")
    return token


def subject(value: Any) -> str:
    """The provider's user id as a string. Raises SignInFailed for any other value."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    text = str(value) if is_number else value
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_SUBJECT_LENGTH:
        raise SignInFailed("token_refused", "no user id")
    return text


def get_str(profile: Mapping[str, Any], name: str) -> str:
    """The string `name`, or ""."""
    value = profile.get(name)
    return value if isinstance(value, str) else ""
