"""Settings of sign-in by social providers: those of allauth, and what all providers share."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from config.environment.errors import Unreadable
from config.environment.parsing.callbacks import check_callback
from config.environment.parsing.group_names import GROUPS_FIX, check_groups_mapping
from config.environment.registry.allauth_providers import (
    is_usable,
    label_of,
    provider_of,
    usable_ids,
)
from config.environment.schema import (
    Alias,
    Section,
    Variable,
    path,
    secret,
    switch,
    text,
    url,
    words,
)
from core.text.plain_text import echo


class Documented(NamedTuple):
    """A provider with a section of its own in the reference. origin: systems with these names."""

    label: str
    origin: str


# Every other provider of allauth works without an entry.
DOCUMENTED = {
    "google": Documented("Google", "Khoj, LibreChat, Mage"),
    "github": Documented("GitHub", "LibreChat"),
    "discord": Documented("Discord", "LibreChat"),
    "facebook": Documented("Facebook", "LibreChat"),
    "apple": Documented("Apple", "LibreChat"),
}


def callback(prefix: str, path: str, name: str, origin: str = "", note: str = "") -> Variable:
    """`<prefix>_CALLBACK_URL`."""
    return text(
        f"{prefix}_CALLBACK_URL",
        default=None if note else path,
        default_note=note,
        example=path,
        check=check_callback,
        origin=origin,
    ).with_help(
        f"The path or URL on this site to which {name} redirects users. Register it there, with "
        "PUBLIC_URL in front."
    )


def social_variables(names: Iterable[str], listed: Iterable[str]) -> tuple[Variable, ...]:
    """The variables of the providers that `names` mention, beyond those of DOCUMENTED.

    A provider that `listed` has and whose settings begin with AUTH_ is one of OpenID Connect.
    """
    given = set(names)
    as_openid = {name for name in listed if f"AUTH_{name.upper()}_ID" in given}
    mentioned = {provider_of(name) for name in given} - DOCUMENTED.keys() - as_openid
    found = sorted(filter(is_usable, mentioned))
    return tuple(variable for provider in found for variable in _variables(provider))


def possible_names(name: str) -> list[str]:
    """Names of providers that `name` may have been meant to be: those with the same end."""
    end = next((end for end in ("_CLIENT_ID", "_CLIENT_SECRET") if name.upper().endswith(end)), "")
    return [f"{provider.upper()}{end}" for provider in usable_ids()] if end else []


def _variables(provider: str) -> Iterator[Variable]:
    """Id, secret, callback and so on of one social provider."""
    label, origin = DOCUMENTED.get(provider) or (label_of(provider), "")
    prefix = provider.upper()
    others = f"`/api/auth/callback/{provider}` if AUTH_SSO_PROVIDERS names it, else "
    yield text(
        f"{prefix}_CLIENT_ID",
        example="123456789",
        origin=origin,
        aliases=(Alias(f"AUTH_{prefix}_ID", "LobeChat"),) if origin else (),
    ).with_help(f"The client id of Gatehouse at {label}. With it {label} has a button.")
    yield secret(
        f"{prefix}_CLIENT_SECRET",
        origin=origin,
        aliases=(Alias(f"AUTH_{prefix}_SECRET", "LobeChat"),) if origin else (),
    ).with_help(
        "Accepted without effect: Apple's secret is created from its key."
        if provider == "apple"
        else f"The client secret of Gatehouse at {label}."
    )
    path = f"/oauth/{provider}/callback"
    yield callback(prefix, path, label, origin, f"{others}`{path}`")
    yield trust_email(prefix, label)
    yield from _groups(prefix, label)
    if provider not in DOCUMENTED:
        yield secret(f"{prefix}_SETTINGS", check=check_settings).with_help(
            f"JSON of the settings that django-allauth documents for {label}."
        )


def _groups(prefix: str, label: str) -> Iterator[Variable]:
    """The mapping of one provider and its claim. Never shared: at some, anyone can make groups."""
    yield text(
        f"{prefix}_GROUPS_MAPPING",
        example='{"example-inc/finance": "finance"}',
        check=check_groups_mapping,
        fix=GROUPS_FIX,
    ).with_help(
        f"JSON that maps values in the profile of {label} to a group of Gatehouse or to a list of "
        "them; see docs/groups.md. Applies at each sign-in, and removes as well."
    )
    yield text(f"{prefix}_GROUPS_CLAIM", default="groups", example="groups").with_help(
        f"The field of the profile with the values of {prefix}_GROUPS_MAPPING."
    )


def check_settings(text: str) -> dict[str, Any]:
    """The JSON object of a provider's settings; addresses lose their last slash."""
    fix = """write JSON such as {"GITLAB_URL": "https://git.example.com"}"""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("is not JSON", fix) from None
    if not isinstance(found, dict) or {"APP", "APPS", "provider_class"} & found.keys():
        raise Unreadable("is not a JSON object of a provider's settings", fix)
    return {
        name: value.rstrip("/") if isinstance(value, str) else value
        for name, value in found.items()
    }


def trust_email(prefix: str, name: str) -> Variable:
    """`<prefix>_TRUST_EMAIL`."""
    return switch(f"{prefix}_TRUST_EMAIL", default=False).with_help(
        f"Whether every email address from {name} counts as verified, even if it does not say so. "
        "Set it only if users cannot enter another person's address there."
    )


def internal_url(prefix: str) -> Variable:
    """`<prefix>_INTERNAL_URL`."""
    return url(
        f"{prefix}_INTERNAL_URL", example="http://authentik-server:9000", check=check_origin
    ).with_help(
        "Where this server reaches the provider if it cannot use the public URL, as between "
        "containers: scheme, host and port only. Browsers and tokens keep the public name of the "
        "issuer, which is sent as Host."
    )


def check_origin(url: str) -> str:
    """An address without a path."""
    if url.partition("://")[2].count("/"):
        raise Unreadable(f"{echo(url)} has a path", "write only scheme, host and port")
    return url


SOCIAL = Section(
    "Sign-in through other providers",
    "Each provider with an id and a secret has a button on the sign-in page. A new user gets an "
    "account only if registration by providers is open.\n\n"
    "Besides the providers below, every other OAuth 2.0 provider of django-allauth works by "
    "`<ID>_CLIENT_ID` and `<ID>_CLIENT_SECRET`, for example `GITLAB_CLIENT_ID`. "
    "`<ID>_CALLBACK_URL` (`/oauth/<id>/callback`), `<ID>_TRUST_EMAIL`, `<ID>_GROUPS_MAPPING`, "
    "`<ID>_GROUPS_CLAIM` and `<ID>_SETTINGS` are optional; the last is JSON of the settings "
    "that django-allauth documents for the provider, for example "
    """`GITLAB_SETTINGS={"GITLAB_URL": "https://git.example.com"}`. The ids are: """
    f"{', '.join(f'`{name}`' for name in usable_ids() if name not in DOCUMENTED)}.",
    switch("ALLOW_SOCIAL_LOGIN", default=True, origin="LibreChat").with_help(
        "Whether users can sign in by the configured providers, social ones and those of OpenID "
        "Connect. Unlike in LibreChat it is on by default."
    ),
    switch("ALLOW_SOCIAL_REGISTRATION", default=False, origin="LibreChat").with_help(
        "Whether a new user who signs in by a social provider (not one of OpenID Connect) gets an "
        "account, with the role DEFAULT_ROLE. ALLOWED_EMAILS applies. An explicit false also "
        "applies to OpenID Connect, unless OPENID_REGISTRATION is set."
    ),
    words(
        "TRUSTED_EMAIL_PROVIDERS", default="", default_note="none", example="google,authentik"
    ).with_help(
        "The ids of providers whose verified email addresses may connect to an existing account. "
        "With other providers, users connect on the account page, after signing in."
    ),
    path(
        "PROVIDER_CA_CERT_PATH",
        default_note="only the authorities of this machine",
        example="/etc/ssl/certs/company-ca.pem",
    ).with_help(
        "A PEM file with an authority of your own that signed the certificates of providers and "
        "issuers, besides the authorities of this machine."
    ),
    *_variables("google"),
    *_variables("github"),
    url(
        "GITHUB_ENTERPRISE_BASE_URL",
        default_note="github.com",
        example="https://github.example.com",
        origin="LibreChat",
    ).with_help("The URL of your GitHub Enterprise server."),
    text(
        "GITHUB_ENTERPRISE_USER_AGENT",
        default_note="Gatehouse",
        example="Gatehouse",
        origin="LibreChat",
    ).with_help("The User-Agent of requests to GitHub."),
    *_variables("discord"),
    *_variables("facebook"),
    *_variables("apple"),
    text("APPLE_TEAM_ID", example="ABCDE12345", origin="LibreChat").with_help(
        "The team id of your Apple developer account."
    ),
    text("APPLE_KEY_ID", example="ABC123DEFG", origin="LibreChat").with_help(
        "The id of the key that creates Apple's client secret."
    ),
    path(
        "APPLE_PRIVATE_KEY_PATH", example="keys/AuthKey_ABC123DEFG.p8", origin="LibreChat"
    ).with_help(
        "The file with this key, as downloaded from Apple. A relative path starts at DATA_DIR."
    ),
)
