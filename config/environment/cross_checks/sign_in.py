"""Which sign-in providers are configured, and checks of their settings. Pure."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from config.environment.cross_checks.sso_providers import (
    BUILT_IN,
    MICROSOFT,
    check_listed_providers,
    is_social,
    issuer_of,
    listed,
    prefix_of,
)
from config.environment.errors import Problem, Unreadable, missing, without_effect
from config.environment.parsing.callbacks import is_elsewhere, path_of
from config.environment.parsing.urls import is_unencrypted
from config.environment.registry.allauth_providers import provider_of
from config.environment.registry.external_jwt import check_issuer
from core.text.plain_text import echo

Values = Mapping[str, Any]


class SettingNames(NamedTuple):
    """The names of a provider's settings. issuer: "" if it has none."""

    client_id: str
    secret: str
    issuer: str
    callback: str
    trust: str
    others: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The settings that a configured provider needs."""
        return tuple(name for name in (self.client_id, self.secret, self.issuer) if name) + (
            self.others
        )


def names_of(provider: str, values: Values) -> SettingNames:
    """The names of the settings of `provider`."""
    prefix = provider.upper()
    client, secret, issuer = f"{prefix}_CLIENT_ID", f"{prefix}_CLIENT_SECRET", ""
    others: tuple[str, ...] = ()
    if provider in ("openid", "authentik"):
        issuer = f"{prefix}_ISSUER"
    elif provider == "oidc":
        issuer = "OIDC_DISCOVERY_URL"
    elif provider == "apple":
        secret = ""
        others = ("APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY_PATH")
    elif not is_social(provider, values):
        prefix = prefix_of(provider)
        client, secret, issuer = f"{prefix}_ID", f"{prefix}_SECRET", f"{prefix}_ISSUER"
    return SettingNames(
        client, secret, issuer, f"{prefix}_CALLBACK_URL", f"{prefix}_TRUST_EMAIL", others
    )


def configured_ids(values: Values) -> list[str]:
    """The providers with any of their settings, in the order of their buttons."""
    first = listed(values)
    others = sorted({provider_of(name) for name in values})
    known = dict.fromkeys([*BUILT_IN, *(name for name in others if is_social(name, values))])
    return [*first, *(name for name in known if name not in first and _is_started(name, values))]


def _is_started(provider: str, values: Values) -> bool:
    names = names_of(provider, values)
    begun = [name for name in names.all if values[name]]
    # Reflector's AUTHENTIK_ISSUER also stands alone, for tokens.
    return any(name != "AUTHENTIK_ISSUER" for name in begun)


def follow_social_registration(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Apply ALLOW_SOCIAL_REGISTRATION=false to OpenID Connect, too.

    An explicit OPENID_REGISTRATION takes precedence.
    """
    name = "ALLOW_SOCIAL_REGISTRATION"
    is_written = sources[name] != "default" and values[name] is False
    if is_written and sources["OPENID_REGISTRATION"] == "default":
        values["OPENID_REGISTRATION"] = False
        sources["OPENID_REGISTRATION"] = f"follows {name}=false"


def has_button(values: Values) -> bool:
    """Whether anyone can sign in through a provider."""
    return bool(values["ALLOW_SOCIAL_LOGIN"] and configured_ids(values))


def check_provider_settings(values: Values) -> Iterator[Problem]:
    """Errors: settings that a provider lacks."""
    for provider in configured_ids(values):
        names = names_of(provider, values)
        given = [name for name in names.all if values[name]]
        for name in names.all:
            if values[name] or (name == names.issuer and _has_tenant(provider, values)):
                continue
            if given:
                yield missing(name, given[0])
            else:
                what = f"is missing while AUTH_SSO_PROVIDERS names {provider}"
                yield Problem(name, what, f"set it, or remove {provider} from the list")


def _has_tenant(provider: str, values: Values) -> bool:
    return provider in MICROSOFT and bool(values[f"{prefix_of(provider)}_TENANT_ID"])


def check_issuer_tls(values: Values) -> Iterator[Problem]:
    """Errors: issuers without TLS."""
    for provider in configured_ids(values):
        name = names_of(provider, values).issuer
        if not name:
            continue
        issuer = values[name] or ""
        if issuer and is_unencrypted(issuer):
            what = f"{echo(issuer)} is not https, so an attacker could sign in as any user"
            yield Problem(name, what, "write the https:// address of the provider")


def check_tenants(values: Values) -> Iterator[Problem]:
    """Errors: Microsoft's issuers for any tenant."""
    for provider in listed(values):
        if _has_tenant(provider, values):
            try:
                check_issuer(issuer_of(provider, values))
            except Unreadable as error:
                yield Problem(f"{prefix_of(provider)}_TENANT_ID", error.what, error.fix)


def callback_path(provider: str, values: Values) -> str:
    """The callback path of `provider`: as set, or the default of the system it comes from."""
    written = values[names_of(provider, values).callback]
    if written:
        return path_of(written)
    # LobeChat's own path, for social providers of its list.
    is_listed = provider in listed(values)
    return f"/api/auth/callback/{provider}" if is_listed else f"/oauth/{provider}/callback"


def check_callbacks(values: Values) -> Iterator[Problem]:
    """Errors: callbacks of another site, and two providers with one path."""
    paths: dict[str, str] = {}
    for provider in configured_ids(values):
        name = names_of(provider, values).callback
        other = paths.setdefault(callback_path(provider, values), provider)
        if other != provider:
            yield Problem(name, f"is the callback of {other}, too", "write another path")
        if values[name] and is_elsewhere(values[name], values):
            what = f"{echo(values[name])} is not an address of {values['PUBLIC_URL']}"
            yield Problem(name, what, "write only the path, or correct PUBLIC_URL")


def check_ca_certificate(values: Values) -> Iterator[Problem]:
    """Errors: PROVIDER_CA_CERT_PATH cannot be read."""
    path = values["PROVIDER_CA_CERT_PATH"]
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        what = f"names {path}, which is not a readable PEM file"
        yield Problem("PROVIDER_CA_CERT_PATH", what, "write the path of the authority's PEM file")


def check_trusted_providers(values: Values) -> Iterator[Problem]:
    """Errors: TRUSTED_EMAIL_PROVIDERS names a provider that is not configured."""
    known = [*configured_ids(values), "ldap"]
    for name in values["TRUSTED_EMAIL_PROVIDERS"]:
        if name.lower() not in known:
            what = f"names {echo(name)}, which is not a configured provider"
            yield Problem("TRUSTED_EMAIL_PROVIDERS", what, f"write one of {', '.join(known)}")


def check_apple_key(values: Values) -> Iterator[Problem]:
    """Errors: the private key for Apple cannot be read."""
    path = values["APPLE_PRIVATE_KEY_PATH"]
    if path is None or "apple" not in configured_ids(values):
        return
    file = values["DATA_DIR"] / path
    fix = "put Apple's .p8 file there"
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        yield Problem("APPLE_PRIVATE_KEY_PATH", f"names {file}, which cannot be read", fix)
        return
    if "PRIVATE KEY" not in text:
        yield Problem("APPLE_PRIVATE_KEY_PATH", f"names {file}, which contains no private key", fix)


def check_role_sync_claim(values: Values) -> Iterator[Problem]:
    if values["OPENID_ROLE_SYNC_ENABLED"] and not values["OPENID_ROLE_SYNC_CLAIM"]:
        what = "is missing while OPENID_ROLE_SYNC_ENABLED is true"
        yield Problem("OPENID_ROLE_SYNC_CLAIM", what, "set it, for example to roles")


def check_unused_providers(values: Values) -> Iterator[Problem]:
    """Warnings: providers that cannot be used, a redirect without a provider."""
    found = configured_ids(values)
    if found and not values["ALLOW_SOCIAL_LOGIN"]:
        what = f"is false, so {', '.join(found)} cannot be used"
        yield Problem("ALLOW_SOCIAL_LOGIN", what, "remove it, or remove the providers' settings")
    if values["OPENID_AUTO_REDIRECT"] and "openid" not in found:
        needed = "OPENID_CLIENT_ID and OPENID_ISSUER"
        yield without_effect("OPENID_AUTO_REDIRECT", needed, "set them, or remove it")
    image = values["OPENID_IMAGE_URL"] or ""
    if image and not (image.startswith("/") and not image.startswith("//")):
        what = "is an image of another site, which pages do not load"
        yield Problem("OPENID_IMAGE_URL", what, "write the path of an image on this site")


ERRORS = (
    check_listed_providers,
    check_provider_settings,
    check_issuer_tls,
    check_tenants,
    check_callbacks,
    check_ca_certificate,
    check_trusted_providers,
    check_apple_key,
    check_role_sync_claim,
)
WARNINGS = (check_unused_providers,)
