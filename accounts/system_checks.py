"""System checks. Their ids are stable."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from accounts.backends import AccountBackend
from accounts.offboarding.credential_kinds import CredentialKind

# Settings that list dotted paths of functions.
FUNCTION_SETTINGS = ("ACCESS_CHECKS", "CLIENT_CHECKS")


@register(Tags.security)
def check_backends(**_options: Any) -> list[CheckMessage]:
    """Refuse authentication backends that do not ask the access policy."""
    return [
        Error(
            f"The authentication backend {path} does not ask the access policy.",
            hint="Subclass accounts.backends.AccountBackend.",
            id="accounts.E001",
        )
        for path in settings.AUTHENTICATION_BACKENDS
        if not issubclass(import_string(path), AccountBackend)
    ]


@register(Tags.security)
def check_access_checks(**_options: Any) -> list[CheckMessage]:
    """Stop the start when an access check cannot be imported."""
    messages: list[CheckMessage] = []
    for setting in FUNCTION_SETTINGS:
        for path in getattr(settings, setting):
            try:
                import_string(path)
            except ImportError:
                text = f"{setting} names {path}, which does not exist."
                messages.append(Error(text, id="accounts.E002"))
    return messages


@register(Tags.security)
def check_credential_kinds(**_options: Any) -> list[CheckMessage]:
    """Refuse kinds that an offboarding could not ask, and names that a report could not tell."""
    messages: list[CheckMessage] = []
    names: set[str] = set()
    for path in settings.CREDENTIAL_KINDS:
        kind = import_string(path)
        if not issubclass(kind, CredentialKind) or kind.name in names:
            text = f"CREDENTIAL_KINDS names {path}, which is no kind with a name of its own."
            base = f"{CredentialKind.__module__}.{CredentialKind.__qualname__}"
            hint = f"Subclass {base}, and give it a name of its own."
            messages.append(Error(text, hint=hint, id="accounts.E003"))
        names.add(getattr(kind, "name", path))
    return messages


@register(Tags.security, deploy=True)
def check_https(**_options: Any) -> list[CheckMessage]:
    """Warn about a public instance without TLS, which sends passwords in clear text."""
    if settings.IS_HTTPS or settings.PUBLIC_URL_IS_LOCAL:
        return []
    return [
        CheckWarning(
            f"PUBLIC_URL={settings.PUBLIC_URL} is not https: passwords are sent in clear text.",
            hint="Put a TLS proxy in front and set PUBLIC_URL=https://…",
            id="accounts.W001",
        )
    ]
