"""System checks: can each configured social provider work with the settings it has?"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name
from django.utils.module_loading import import_string


@register()
def check_social_providers(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """Some providers have a server, tenant or site of their own, which allauth must know.

    No error, because that would stop every command, also those that let an owner in again.
    """
    # It loads the libraries of every provider, which commands without checks do not need.
    knows_server = import_string("federation.flow.knows_server")
    return [
        Warning(
            f"The provider {provider.id} does not know its server, so no page offers it.",
            hint=f"Set {provider.id.upper()}_SETTINGS to JSON with the settings that allauth's "
            f"documentation names for {provider.label}, or remove its client id.",
            id="federation.W001",
        )
        for provider in settings.SIGN_IN_PROVIDERS
        if not knows_server(provider)
    ]
