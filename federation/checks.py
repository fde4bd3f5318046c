"""System checks: can each configured social provider work with the settings it has?"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name

from federation.flow import SOCIAL
from federation.oidc.errors import SignInFailed
from federation.providers import OIDC, Provider


@register()
def check_social_providers(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """Some providers have a server, tenant or site of their own, which allauth must know.

    No error, because that would stop every command, also those that let an owner in again.
    """
    return [
        Warning(
            f"The provider {provider.id} does not know its server, so nobody can sign in with it.",
            hint=f"Set {provider.id.upper()}_SETTINGS to JSON with the settings that allauth's "
            f"documentation names for {provider.label}, or remove its client id.",
            id="federation.W001",
        )
        for provider in settings.SIGN_IN_PROVIDERS
        if provider.kind != OIDC and not _has_server(provider)
    ]


def _has_server(provider: Provider) -> bool:
    try:
        SOCIAL.token_url(provider)
    except SignInFailed:
        return False
    return True
