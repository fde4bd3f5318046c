"""Rules of the providers that people sign in through, and which of them are configured. Pure."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from config.environment.callbacks import is_elsewhere, path_of
from config.environment.errors import Problem, Unreadable, echo
from config.environment.registry.external_jwt import check_issuer
from config.environment.registry.social import NAMES as SOCIAL
from config.environment.sso_providers import (
    MICROSOFT,
    OWN,
    issuer_of,
    listed,
    listed_names,
    prefix_of,
)

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
Values = Mapping[str, Any]


class Names(NamedTuple):
    """What a provider's settings are called. issuer: "" where it has none."""

    id: str
    client_id: str
    secret: str
    issuer: str
    callback: str
    others: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Those that a configured provider has."""
        return tuple(name for name in (self.client_id, self.secret, self.issuer) if name) + (
            self.others
        )


def names_of(provider: str) -> Names:
    """The settings of the provider `provider`."""
    prefix = provider.upper()
    callback = f"{prefix}_CALLBACK_URL"
    match provider:
        case "openid" | "authentik":
            return Names(provider, f"{prefix}_CLIENT_ID", f"{prefix}_CLIENT_SECRET",
                         f"{prefix}_ISSUER", callback)  # fmt: skip
        case "oidc":
            return Names(provider, "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_DISCOVERY_URL",
                         callback)  # fmt: skip
        case "apple":
            others = ("APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY_PATH")
            return Names(provider, "APPLE_CLIENT_ID", "", "", callback, others)
    if provider in SOCIAL:
        return Names(provider, f"{prefix}_CLIENT_ID", f"{prefix}_CLIENT_SECRET", "", callback)
    prefix = prefix_of(provider)
    return Names(provider, f"{prefix}_ID", f"{prefix}_SECRET", f"{prefix}_ISSUER",
                 f"{prefix}_CALLBACK_URL")  # fmt: skip


def trust_name(provider: str) -> str:
    """The setting that says whether the addresses of `provider` count as verified."""
    own = provider in SOCIAL or provider in OWN
    return f"{provider.upper() if own else prefix_of(provider)}_TRUST_EMAIL"


def configured_ids(values: Values) -> list[str]:
    """The providers that somebody has set up, also by half, in the order of their buttons."""
    first = listed(values)
    return [*first, *(name for name in OWN if name not in first and _is_begun(name, values))]


def _is_begun(provider: str, values: Values) -> bool:
    names = names_of(provider)
    begun = [name for name in names.all if values[name]]
    # Reflector's AUTHENTIK_ISSUER also stands alone, for tokens.
    return any(name != "AUTHENTIK_ISSUER" for name in begun)


def follow_social_registration(values: dict[str, Any], sources: dict[str, str]) -> None:
    """A written ALLOW_SOCIAL_REGISTRATION=false closes the door to newcomers of OpenID Connect too.

    Whoever writes it means strangers; only a written OPENID_REGISTRATION says otherwise.
    """
    name = "ALLOW_SOCIAL_REGISTRATION"
    is_written = sources[name] != "default" and values[name] is False
    if is_written and sources["OPENID_REGISTRATION"] == "default":
        values["OPENID_REGISTRATION"] = False
        sources["OPENID_REGISTRATION"] = f"follows {name}=false"


def has_button(values: Values) -> bool:
    """Can somebody come in through a provider?"""
    return bool(values["ALLOW_SOCIAL_LOGIN"] and configured_ids(values))


def half_a_provider(values: Values) -> Iterator[Problem]:
    """Errors: what a provider still needs."""
    for provider in configured_ids(values):
        names = names_of(provider)
        given = [name for name in names.all if values[name]]
        for name in names.all:
            if values[name] or (name == names.issuer and _has_tenant(provider, values)):
                continue
            if given:
                what = f"is missing while {given[0]} is set"
                yield Problem(name, what, f"set it, or remove {given[0]}")
            else:
                what = f"is missing while AUTH_SSO_PROVIDERS names {provider}"
                yield Problem(name, what, f"set it, or take {provider} from the list")


def _has_tenant(provider: str, values: Values) -> bool:
    return provider in MICROSOFT and bool(values[f"{prefix_of(provider)}_TENANT_ID"])


def issuers_in_clear(values: Values) -> Iterator[Problem]:
    """Errors: issuers whose answers anybody on the way could change."""
    for provider in configured_ids(values):
        name = names_of(provider).issuer
        if not name:
            continue
        issuer = values[name] or ""
        parts = urlsplit(issuer)
        if issuer and parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
            what = f"{echo(issuer)} is not https, so anybody on the way could sign in as anybody"
            yield Problem(name, what, "write the https:// address of the provider")


def tenants(values: Values) -> Iterator[Problem]:
    """Errors: Microsoft's addresses for everybody's tenant."""
    for provider in listed(values):
        if _has_tenant(provider, values):
            try:
                check_issuer(issuer_of(provider, values))
            except Unreadable as error:
                yield Problem(f"{prefix_of(provider)}_TENANT_ID", error.what, error.fix)


def callback_path(provider: str, values: Values) -> str:
    """Where `provider` sends people back: as written, else as its origin has it."""
    written = values[names_of(provider).callback]
    if written:
        return path_of(written)
    # LobeChat's own path, for social providers of its list.
    is_listed = provider in listed(values)
    return f"/api/auth/callback/{provider}" if is_listed else f"/oauth/{provider}/callback"


def foreign_callbacks(values: Values) -> Iterator[Problem]:
    """Errors: callbacks of another site, and two providers at one path."""
    paths: dict[str, str] = {}
    for provider in configured_ids(values):
        name = names_of(provider).callback
        other = paths.setdefault(callback_path(provider, values), provider)
        if other != provider:
            yield Problem(name, f"is the callback of {other}, too", "write another path")
        if values[name] and is_elsewhere(values[name], values):
            what = f"{echo(values[name])} is not an address of {values['PUBLIC_URL']}"
            yield Problem(name, what, "write the path alone, or correct PUBLIC_URL")


def own_authority(values: Values) -> Iterator[Problem]:
    """Errors: the authority of the providers' certificates cannot be read."""
    path = values["PROVIDER_CA_CERT_PATH"]
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        what = f"names {path}, which is no PEM file that can be read"
        yield Problem("PROVIDER_CA_CERT_PATH", what, "write the path of the authority's PEM file")


def unknown_trust(values: Values) -> Iterator[Problem]:
    """Errors: trust in providers that are not there."""
    known = [*configured_ids(values), "ldap"]
    for name in values["TRUSTED_EMAIL_PROVIDERS"]:
        if name.lower() not in known:
            what = f"names {echo(name)}, which is no configured provider"
            yield Problem("TRUSTED_EMAIL_PROVIDERS", what, f"write one of {', '.join(known)}")


def apple_key(values: Values) -> Iterator[Problem]:
    """Errors: Apple's key cannot be read."""
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
        yield Problem("APPLE_PRIVATE_KEY_PATH", f"names {file}, which holds no private key", fix)


def sync_without_claim(values: Values) -> Iterator[Problem]:
    if values["OPENID_ROLE_SYNC_ENABLED"] and not values["OPENID_ROLE_SYNC_CLAIM"]:
        what = "is missing while OPENID_ROLE_SYNC_ENABLED is true"
        yield Problem("OPENID_ROLE_SYNC_CLAIM", what, "set it, for example to roles")


def providers_off(values: Values) -> Iterator[Problem]:
    """Warnings: providers without a button, a redirect without a provider."""
    found = configured_ids(values)
    if found and not values["ALLOW_SOCIAL_LOGIN"]:
        what = f"is false, so {', '.join(found)} cannot be used"
        yield Problem("ALLOW_SOCIAL_LOGIN", what, "remove it, or remove the providers' settings")
    if values["OPENID_AUTO_REDIRECT"] and "openid" not in found:
        what = "has no effect without OPENID_CLIENT_ID and OPENID_ISSUER"
        yield Problem("OPENID_AUTO_REDIRECT", what, "set them, or remove it")
    image = values["OPENID_IMAGE_URL"] or ""
    if image and not (image.startswith("/") and not image.startswith("//")):
        what = "is an image of another site, which the pages here do not load"
        yield Problem("OPENID_IMAGE_URL", what, "write the path of an image on this site")


ERRORS = (
    listed_names,
    half_a_provider,
    issuers_in_clear,
    tenants,
    foreign_callbacks,
    own_authority,
    unknown_trust,
    apple_key,
    sync_without_claim,
)
WARNINGS = (providers_off,)
