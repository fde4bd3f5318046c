"""Sign-in methods: a closed list, separate from the ids of providers. Pure.

Administrators choose the ids of providers. So a sign-in through a provider is recorded as PROVIDER
with the id next to it, and no id can be mistaken for a passkey or a second factor.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class SignInMethod(StrEnum):
    """How a user authenticated. The values are stored in sessions and the audit log."""

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
# Names with a meaning of their own in Identity.provider, the source of a new account and the audit
# log; a provider with such an id could not be distinguished from them.
_OTHER_NAMES = (
    "anonymous", "api", "api_key", "basic", "command", "directory", "email", "import", "jwt",
    "link", "local", "login", "oauth", "operator", "otp", "panel", "saml", "scim", "session", "sso",
    "system", "token", "trusted_browser", "webauthn",
)  # fmt: skip
RESERVED_IDS = frozenset({*SignInMethod, *_OTHER_NAMES})


def is_reserved(provider_id: str) -> bool:
    """Whether no provider may have this id. Hyphens, underscores and case make no difference."""
    folded = provider_id.casefold().replace("-", "_")
    return folded in RESERVED_IDS or folded.replace("_", "") in {
        name.replace("_", "") for name in RESERVED_IDS
    }


def audit_name(record: Mapping[str, Any]) -> str:
    """The name in the audit log for the method of an authentication record; a provider's id."""
    method = str(record.get("method", ""))
    if method != SignInMethod.PROVIDER:
        return method
    provider = str(record.get("provider", ""))
    return f"provider:{provider}" if not provider or is_reserved(provider) else provider
