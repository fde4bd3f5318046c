"""allauth's social account adapter: apps from our settings, and our bounded session.

allauth's own tables stay empty: identities are federation.models.ExternalIdentity.
"""

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from federation.providers import OIDC, Provider
from federation.social.providers import provider_class
from federation.social.session import USER_AGENT, ProviderSession


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Providers are those of settings.SIGN_IN_PROVIDERS; nothing is read from the database."""

    def list_apps(
        self, request: HttpRequest | None, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        return [
            social_app(each)
            for each in settings.SIGN_IN_PROVIDERS
            if each.kind != OIDC
            # One of allauth's ids is capitalized; ours are not.
            and (provider is None or provider.lower() == each.kind)
            and client_id in (None, each.client_id)
        ]

    def get_provider(
        self, request: HttpRequest | None, provider: str, client_id: str | None = None
    ) -> Any:
        app = self.get_app(request, provider=provider, client_id=client_id)
        return provider_class(app.provider)(request, app=app)

    def get_requests_session(self) -> ProviderSession:
        return ProviderSession(getattr(self.request, "provider_user_agent", USER_AGENT))

    def is_email_verified(self, provider: Any, email: str) -> bool:
        """`<ID>_TRUST_EMAIL` decides instead; see federation.social.flow."""
        return False

    def can_authenticate_by_email(self, login: Any, email: str) -> bool:
        """federation.services.identities decides instead."""
        return False

    def new_user(self, request: HttpRequest, sociallogin: Any) -> User:
        return User()

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        """The name only; the flow reads the address from the list of addresses."""
        user: User = sociallogin.user
        parts = [data.get("first_name"), data.get("last_name")]
        names = [name for name in (data.get("name"), *parts) if isinstance(name, str) and name]
        user.name = names[0] if names and names[0] == data.get("name") else " ".join(names)
        return user


def social_app(provider: Provider) -> SocialApp:
    """The unsaved app of `provider`, as allauth's providers read it."""
    return SocialApp(
        provider=provider.kind,
        name=provider.label,
        client_id=provider.client_id,
        secret=provider.client_secret,
        key=provider.options.get("KEY", ""),
        settings=dict(provider.options),
    )
