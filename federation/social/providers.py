"""Google, Facebook, GitHub and Discord. User names are not used from any of them."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from allauth.socialaccount.providers.discord.views import DiscordOAuth2Adapter
from allauth.socialaccount.providers.facebook.constants import GRAPH_API_URL
from allauth.socialaccount.providers.facebook.views import FacebookOAuth2Adapter
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.http import HttpRequest

from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.flow import register
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo
from federation.social.apple import AppleFlow
from federation.social.flows import SocialFlow, access_token, get_str, subject
from federation.social.http import request_json, request_object


class GoogleFlow(SocialFlow):
    """`verified_email` counts only if it is literally true."""

    authorize_endpoint = GoogleOAuth2Adapter.authorize_url
    token_endpoint = GoogleOAuth2Adapter.access_token_url
    profile_endpoint = GoogleOAuth2Adapter.identity_url

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        profile = self.profile(provider, answer)
        return ExternalUserInfo(
            subject=subject(profile.get("id", profile.get("sub"))),
            email=get_str(profile, "email"),
            email_verified=profile.get("verified_email", profile.get("email_verified")) is True,
            name=get_str(profile, "name"),
        )


class FacebookFlow(SocialFlow):
    """Facebook does not tell whether an address is verified."""

    authorize_endpoint = FacebookOAuth2Adapter.authorize_url
    token_endpoint = FacebookOAuth2Adapter.access_token_url
    profile_endpoint = f"{GRAPH_API_URL}/me"
    scope_delimiter = ","
    supports_pkce = False

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        profile = self.profile(provider, answer)
        return ExternalUserInfo(
            subject=subject(profile.get("id")),
            email=get_str(profile, "email"),
            name=get_str(profile, "name"),
        )

    def profile(self, provider: Provider, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Adds appsecret_proof, so that a stolen token alone is useless."""
        token = access_token(answer)
        secret = provider.client_secret.encode()
        query = {
            "fields": "id,name,email",
            "access_token": token,
            "appsecret_proof": hmac.new(secret, token.encode(), hashlib.sha256).hexdigest(),
        }
        url = f"{self.endpoint(provider, 'profile')}?{urlencode(query)}"
        return request_object(url, headers=self.headers(provider))


class GitHubFlow(SocialFlow):
    """The primary address of `/user/emails`; a GitHub Enterprise server by options["base_url"]."""

    authorize_endpoint = GitHubOAuth2Adapter.authorize_url
    token_endpoint = GitHubOAuth2Adapter.access_token_url
    profile_endpoint = GitHubOAuth2Adapter.profile_url
    emails_endpoint = GitHubOAuth2Adapter.emails_url

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        profile = self.profile(provider, answer)
        emails = request_json(
            self.endpoint(provider, "emails"), headers=self.bearer(provider, answer)
        )
        primary = _primary(emails)
        return ExternalUserInfo(
            subject=subject(profile.get("id")),
            issuer=provider.authority,
            email=get_str(primary, "email"),
            email_verified=primary.get("verified") is True,
            name=get_str(profile, "name"),
        )

    def endpoint(self, provider: Provider, name: str) -> str:
        base = provider.options.get("base_url", "").rstrip("/")
        if not base:
            return super().endpoint(provider, name)
        return {
            "authorize": f"{base}/login/oauth/authorize",
            "token": f"{base}/login/oauth/access_token",
            "profile": f"{base}/api/v3/user",
            "emails": f"{base}/api/v3/user/emails",
        }[name]


def _primary(emails: Any) -> Mapping[str, Any]:
    """The primary entry, or {}."""
    entries = emails if isinstance(emails, list) else []
    return next(
        (each for each in entries if isinstance(each, dict) and each.get("primary") is True), {}
    )


class DiscordFlow(SocialFlow):
    """`verified` is about the address, and counts only if it is literally true."""

    authorize_endpoint = DiscordOAuth2Adapter.authorize_url
    token_endpoint = DiscordOAuth2Adapter.access_token_url
    profile_endpoint = DiscordOAuth2Adapter.profile_url

    def user_info(
        self,
        request: HttpRequest,
        provider: Provider,
        pending: AuthorizationRequest,
        answer: Mapping[str, Any],
    ) -> ExternalUserInfo:
        profile = self.profile(provider, answer)
        return ExternalUserInfo(
            subject=subject(profile.get("id")),
            email=get_str(profile, "email"),
            email_verified=profile.get("verified") is True,
            name=get_str(profile, "global_name") or get_str(profile, "username"),
        )


def register_social() -> None:
    """Register the five kinds with federation.oidc.flow."""
    register("google", GoogleFlow())
    register("facebook", FacebookFlow())
    register("github", GitHubFlow())
    register("discord", DiscordFlow())
    register("apple", AppleFlow())
