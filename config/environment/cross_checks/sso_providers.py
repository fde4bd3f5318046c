"""The settings of the providers that AUTH_SSO_PROVIDERS lists. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from accounts.sign_in.methods import is_reserved
from config.environment.errors import Problem
from config.environment.parsing.callbacks import check_callback
from config.environment.registry.allauth_providers import is_usable as is_of_allauth
from config.environment.registry.external_jwt import check_issuer
from config.environment.registry.social import DOCUMENTED, internal_url, trust_email
from config.environment.schema import Variable, secret, text
from core.text.plain_text import echo

# These have settings of their own; the list only orders them.
BUILT_IN = (*DOCUMENTED, "openid", "authentik", "oidc")
NOT_OIDC = ("wechat", "feishu")
MICROSOFT = ("microsoft-entra-id", "azure-ad")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
# LobeChat names the settings of each provider of its list by this pattern.
_NAME = re.compile(
    r"AUTH_([A-Z0-9]+(?:_[A-Z0-9]+)*)_(?:ID|SECRET|ISSUER|LABEL|CALLBACK_URL|TENANT_ID|TRUST_EMAIL|INTERNAL_URL)"
)
LABELS = {
    "auth0": "Auth0", "authelia": "Authelia", "azure-ad": "Microsoft", "casdoor": "Casdoor",
    "cloudflare-zero-trust": "Cloudflare", "cognito": "Amazon Cognito", "generic-oidc": "OpenID",
    "keycloak": "Keycloak", "logto": "Logto", "microsoft-entra-id": "Microsoft", "okta": "Okta",
    "zitadel": "Zitadel",
}  # fmt: skip


def prefix_of(provider: str) -> str:
    """`AUTH_GENERIC_OIDC` of generic-oidc."""
    return f"AUTH_{provider.upper().replace('-', '_')}"


def listed(values: Mapping[str, Any]) -> list[str]:
    """The valid ids of AUTH_SSO_PROVIDERS in lower case, without duplicates."""
    names = [name.lower() for name in values["AUTH_SSO_PROVIDERS"]]
    return [name for name in dict.fromkeys(names) if _is_usable(name)]


def _is_usable(name: str) -> bool:
    is_id = bool(_ID.fullmatch(name)) or is_of_allauth(name)
    return is_id and name not in NOT_OIDC and not is_reserved(name)


def is_social(provider: str, values: Mapping[str, Any]) -> bool:
    """Is it a provider of allauth that the settings mention?"""
    return f"{provider.upper()}_CLIENT_ID" in values and is_of_allauth(provider)


def check_listed_providers(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Errors: entries of the list that cannot be used."""
    for name in values["AUTH_SSO_PROVIDERS"]:
        if name.lower() in NOT_OIDC:
            what = f"names {echo(name)}, which does not support OpenID Connect"
            yield Problem("AUTH_SSO_PROVIDERS", what, "remove it from the list")
        elif is_reserved(name):
            what = f"names {echo(name)}, which is a sign-in method of Gatehouse itself"
            fix = "call the provider something else, and rename its AUTH_… settings too"
            yield Problem("AUTH_SSO_PROVIDERS", what, fix)
        elif not _is_usable(name.lower()):
            what = f"names {echo(name)}, which cannot be part of an address"
            yield Problem("AUTH_SSO_PROVIDERS", what, "write letters, digits and hyphens")


def variables_of(values: Mapping[str, Any]) -> tuple[Variable, ...]:
    """The variables of the listed providers."""
    return tuple(
        variable
        for name in listed(values)
        for variable in _variables(name, has_own=name in BUILT_IN or is_social(name, values))
    )


def _variables(provider: str, *, has_own: bool) -> Iterator[Variable]:
    prefix = prefix_of(provider)
    yield text(f"{prefix}_LABEL").with_help("The provider's name on its button.")
    if has_own:
        return
    yield text(f"{prefix}_ID").with_help("The client id there.")
    yield secret(f"{prefix}_SECRET").with_help("The client secret there.")
    yield text(f"{prefix}_ISSUER", check=check_issuer).with_help("The provider's issuer.")
    yield text(
        f"{prefix}_CALLBACK_URL", default=f"/api/auth/callback/{provider}", check=check_callback
    ).with_help("The path or URL on this site to which the provider redirects users.")
    yield trust_email(prefix, "the provider")
    yield internal_url(prefix)
    if provider in MICROSOFT:
        yield text(f"{prefix}_TENANT_ID").with_help("The id of the tenant.")


def unlisted_provider(name: str) -> str:
    """The provider that `name` would be a setting of if it were listed, or ""."""
    found = _NAME.fullmatch(name)
    return found[1].lower().replace("_", "-") if found else ""


def issuer_of(provider: str, values: Mapping[str, Any]) -> str:
    """The issuer of a listed provider; for Microsoft, made from the tenant if set."""
    prefix = prefix_of(provider)
    tenant = values.get(f"{prefix}_TENANT_ID")
    if tenant and not values[f"{prefix}_ISSUER"]:
        return f"https://login.microsoftonline.com/{tenant}/v2.0"
    return values[f"{prefix}_ISSUER"] or ""
