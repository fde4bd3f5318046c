"""System checks: what Django's own do not see in this house. Codes are stable."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

# Settings that name functions, and the code of what is wrong with one.
NAMED = {
    "ACCESS_CHECKS": "accounts.E002",
    "CLIENT_CHECKS": "accounts.E002",
}


@register(Tags.security)
def check_one_lock(**_options: Any) -> list[CheckMessage]:
    """Every authentication backend must be ours or ask the gate in all three hooks."""
    messages: list[CheckMessage] = []
    for path in settings.AUTHENTICATION_BACKENDS:
        backend = import_string(path)
        if not backend.__module__.startswith(("accounts.", "config.", "tests.")):
            messages.append(
                Error(
                    f"The authentication backend {path} does not ask the gate.",
                    hint="Subclass accounts.backends.AccountBackend.",
                    id="accounts.E001",
                )
            )
    return messages


@register(Tags.security)
def check_gates(**_options: Any) -> list[CheckMessage]:
    """Each gate must exist; one that cannot be loaded must stop the start."""
    messages: list[CheckMessage] = []
    for setting, code in NAMED.items():
        for path in getattr(settings, setting):
            try:
                import_string(path)
            except ImportError:
                messages.append(Error(f"{setting} names {path}, which does not exist.", id=code))
    return messages


@register(Tags.security, deploy=True)
def check_https(**_options: Any) -> list[CheckMessage]:
    """A public instance without TLS sends passwords in clear."""
    if settings.IS_HTTPS or settings.PUBLIC_URL_IS_LOCAL:
        return []
    return [
        CheckWarning(
            f"PUBLIC_URL={settings.PUBLIC_URL} is not https: passwords travel in clear.",
            hint="Put a TLS proxy in front and set PUBLIC_URL=https://…",
            id="accounts.W001",
        )
    ]
