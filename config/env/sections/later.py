"""Names that are understood so that a carried-over .env is quiet, and that have no effect yet.

Each becomes a Variable when what it governs is built. Until then a value gives one warning.
"""

import re
from typing import NamedTuple


class LaterGroup(NamedTuple):
    """Names of one thing that this version does not do."""

    purpose: str
    origin: str
    names: tuple[str, ...]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LATER = (
    LaterGroup("required second factors", "Gatehouse", _names("MFA_REQUIRED_ROLES")),
    LaterGroup(
        "sign-in through other providers",
        "Khoj, LibreChat",
        _names(
            "ALLOW_SOCIAL_LOGIN ALLOW_SOCIAL_REGISTRATION "
            "GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_CALLBACK_URL "
            "FACEBOOK_CLIENT_ID FACEBOOK_CLIENT_SECRET FACEBOOK_CALLBACK_URL "
            "GITHUB_CLIENT_ID GITHUB_CLIENT_SECRET GITHUB_CALLBACK_URL "
            "DISCORD_CLIENT_ID DISCORD_CLIENT_SECRET DISCORD_CALLBACK_URL "
            "APPLE_CLIENT_ID APPLE_CLIENT_SECRET APPLE_CALLBACK_URL "
            "APPLE_TEAM_ID APPLE_KEY_ID APPLE_PRIVATE_KEY_PATH"
        ),
    ),
    LaterGroup(
        "sign-in through OpenID Connect",
        "LibreChat",
        _names(
            "OPENID_CLIENT_ID OPENID_CLIENT_SECRET OPENID_ISSUER OPENID_SESSION_SECRET "
            "OPENID_SCOPE OPENID_CALLBACK_URL OPENID_BUTTON_LABEL OPENID_IMAGE_URL "
            "OPENID_AUTO_REDIRECT OPENID_USE_PKCE OPENID_GENERATE_NONCE "
            "OPENID_USE_END_SESSION_ENDPOINT OPENID_POST_LOGOUT_REDIRECT_URI "
            "OPENID_MAX_LOGOUT_URL_LENGTH OPENID_CLOCK_TOLERANCE OPENID_AUDIENCE "
            "OPENID_USERNAME_CLAIM OPENID_NAME_CLAIM OPENID_EMAIL_CLAIM OPENID_REUSE_TOKENS "
            "OPENID_REUSE_MAX_SESSION_AGE_MS OPENID_REQUIRED_ROLE OPENID_REQUIRED_ROLE_TOKEN_KIND "
            "OPENID_REQUIRED_ROLE_PARAMETER_PATH OPENID_ADMIN_ROLE OPENID_ADMIN_ROLE_TOKEN_KIND "
            "OPENID_ADMIN_ROLE_PARAMETER_PATH OPENID_ROLE_SYNC_ENABLED OPENID_ROLE_SYNC_SOURCE "
            "OPENID_ROLE_SYNC_CLAIM OPENID_ROLE_SYNC_ROLE_PRIORITY "
            "OPENID_ROLE_SYNC_FALLBACK_ROLE OPENID_ROLE_SYNC_API_ENABLED"
        ),
    ),
    LaterGroup(
        "sign-in through Authentik",
        "Reflector",
        _names("AUTHENTIK_REFRESH_TOKEN_URL AUTHENTIK_CLIENT_ID AUTHENTIK_CLIENT_SECRET"),
    ),
    LaterGroup(
        "sign-in through the providers of a list",
        "LobeChat",
        _names(
            "NEXT_AUTH_SSO_PROVIDERS AUTH_SSO_PROVIDERS AUTH_AUTHENTIK_ID AUTH_AUTHENTIK_SECRET "
            "AUTH_AUTHENTIK_ISSUER"
        ),
    ),
    LaterGroup(
        "sign-in through OpenID Connect",
        "Mage",
        _names("OIDC_DISCOVERY_URL OIDC_CLIENT_ID OIDC_CLIENT_SECRET OIDC_ROLES_MAPPING"),
    ),
    LaterGroup(
        "sign-in through LDAP",
        "LibreChat",
        _names(
            "LDAP_URL LDAP_USER_SEARCH_BASE LDAP_BIND_DN LDAP_BIND_CREDENTIALS "
            "LDAP_SEARCH_FILTER LDAP_CA_CERT_PATH LDAP_TLS_REJECT_UNAUTHORIZED LDAP_STARTTLS "
            "LDAP_LOGIN_USES_USERNAME LDAP_ID LDAP_USERNAME LDAP_EMAIL LDAP_FULL_NAME"
        ),
    ),
    LaterGroup(
        "sign-in through LDAP",
        "Mage",
        _names(
            "AUTHENTICATION_MODE LDAP_SERVER LDAP_ADMIN_USERNAME LDAP_BIND_PASSWORD LDAP_BASE_DN "
            "LDAP_AUTHENTICATION_FILTER LDAP_AUTHORIZATION_FILTER LDAP_GROUP_FIELD "
            "LDAP_ROLES_MAPPING LDAP_DEFAULT_ACCESS UPDATE_ROLES_ON_LOGIN"
        ),
    ),
)

LATER_NAMES = {name: group.purpose for group in LATER for name in group.names}
# LobeChat names the settings of each provider of its list by this pattern.
_PROVIDER = re.compile(r"AUTH_[A-Z0-9]+(?:_[A-Z0-9]+)*_(?:ID|SECRET|ISSUER|LABEL)")


def later_purpose(name: str) -> str:
    """What `name` will govern, or nothing when it is no name of ours."""
    if name in LATER_NAMES:
        return LATER_NAMES[name]
    return "sign-in through the providers of a list" if _PROVIDER.fullmatch(name) else ""
