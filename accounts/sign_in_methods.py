"""How somebody proved who they are: a closed list, kept apart from the ids of providers. Pure.

What a provider is called is the operator's choice. So a sign-in through one is recorded as
PROVIDER with the id beside it: no id can ever stand for a passkey or a second factor.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class SignInMethod(StrEnum):
    """What was proved; the text is what sessions and the audit log hold."""

    PASSWORD = "password"  # noqa: S105 - the name of the method
    LDAP = "ldap"
    PASSKEY = "passkey"
    MAGIC_LINK = "magic_link"
    INVITATION = "invitation"
    SET_UP = "set_up"
    PROVIDER = "provider"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    SECOND_FACTOR = "second_factor"
    REMEMBERED = "remembered_browser"


# The provider of identities in the directory.
DIRECTORY = "ldap"
# What federation.models.Identity.provider, the source of a new account and the audit log call other
# ways in; a provider of that name could not be told from them.
_OTHER_NAMES = (
    "anonymous", "api", "api_key", "basic", "command", "directory", "email", "import", "jwt",
    "link", "local", "login", "oauth", "operator", "otp", "panel", "saml", "scim", "session", "sso",
    "system", "token", "trusted_browser", "webauthn",
)  # fmt: skip
RESERVED_IDS = frozenset({*SignInMethod, *_OTHER_NAMES})


def is_reserved(provider_id: str) -> bool:
    """May no provider be called that? Hyphens, underscores and case make no difference."""
    folded = provider_id.casefold().replace("-", "_")
    return folded in RESERVED_IDS or folded.replace("_", "") in {
        name.replace("_", "") for name in RESERVED_IDS
    }


def audit_name(record: Mapping[str, Any]) -> str:
    """What the audit log calls the method of a record of sign-in: of a provider its id."""
    method = str(record.get("method", ""))
    if method != SignInMethod.PROVIDER:
        return method
    provider = str(record.get("provider", ""))
    return f"provider:{provider}" if not provider or is_reserved(provider) else provider
