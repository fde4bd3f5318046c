"""System checks: can each configured social provider work with the settings it has?"""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from federation.flow import SOCIAL
from federation.oidc.errors import SignInFailed
from federation.providers import OIDC, Provider


@register()
def check_social_providers(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """Some providers have a server, tenant or site of their own, which allauth must know."""
    return [
        Error(
            f"The provider {provider.id} does not know its server.",
            hint=f"Set {provider.id.upper()}_SETTINGS to JSON with the settings that allauth's "
            f"documentation names for {provider.label}, or remove its client id.",
            id="federation.E001",
        )
        for provider in settings.SIGN_IN_PROVIDERS
        if provider.kind != OIDC and not _has_server(provider)
    ]


def _has_server(provider: Provider) -> bool:
    """Is the token endpoint a real one? allauth makes `https://None/` of a missing setting."""
    try:
        parts = urlsplit(SOCIAL.token_url(provider))
    except (SignInFailed, ValueError):
        return False
    host = parts.hostname or ""
    is_example = host.rpartition(".")[0].endswith("example")
    return parts.scheme in ("http", "https") and "." in host and not is_example
