"""Settings of sign-in by social providers: those of allauth, and what all providers share."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from config.environment.errors import Unreadable, echo
from config.environment.parsing.callbacks import check_callback
from config.environment.registry.allauth_providers import (
    is_usable,
    label_of,
    provider_of,
    usable_ids,
)
from config.environment.schema import Alias, Kind, Section, Variable


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
    return Variable(
        name=f"{prefix}_CALLBACK_URL",
        kind=Kind.TEXT,
        default=None if note else path,
        default_note=note,
        example=path,
        check=check_callback,
        origin=origin,
        help=(
            f"The path here, or the whole address, to which {name} sends people back. It has to "
            "be registered there, with PUBLIC_URL in front."
        ),
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
    others = f"`/api/auth/callback/{provider}` where AUTH_SSO_PROVIDERS names it, else "
    yield Variable(
        name=f"{prefix}_CLIENT_ID",
        kind=Kind.TEXT,
        example="123456789",
        origin=origin,
        aliases=(Alias(f"AUTH_{prefix}_ID", "LobeChat"),) if origin else (),
        help=f"The client id of Gatehouse at {label}. With it {label} has a button.",
    )
    yield Variable(
        name=f"{prefix}_CLIENT_SECRET",
        kind=Kind.SECRET,
        origin=origin,
        aliases=(Alias(f"AUTH_{prefix}_SECRET", "LobeChat"),) if origin else (),
        help=(
            "Understood, without effect: Apple's secret is made from its key."
            if provider == "apple"
            else f"The client secret of Gatehouse at {label}."
        ),
    )
    yield callback(
        prefix,
        f"/oauth/{provider}/callback",
        label,
        origin,
        f"{others}`/oauth/{provider}/callback`",
    )
    yield trust_email(prefix, label)
    if provider not in DOCUMENTED:
        yield Variable(
            name=f"{prefix}_SETTINGS",
            kind=Kind.SECRET,
            check=check_settings,
            help=f"JSON of the settings that django-allauth documents for {label}.",
        )


def check_settings(text: str) -> dict[str, Any]:
    """The JSON object of a provider's settings; addresses lose their last slash."""
    fix = """write JSON such as {"GITLAB_URL": "https://git.example.com"}"""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("is no JSON", fix) from None
    if not isinstance(found, dict) or {"APP", "APPS", "provider_class"} & found.keys():
        raise Unreadable("is no JSON object of a provider's settings", fix)
    return {
        name: value.rstrip("/") if isinstance(value, str) else value
        for name, value in found.items()
    }


def trust_email(prefix: str, name: str) -> Variable:
    """`<prefix>_TRUST_EMAIL`."""
    return Variable(
        name=f"{prefix}_TRUST_EMAIL",
        kind=Kind.BOOL,
        default="false",
        example="true",
        help=(
            f"Whether every address that {name} tells counts as verified, also where it does not "
            "say so. Only where nobody can enter somebody else's address there."
        ),
    )


def internal_url(prefix: str) -> Variable:
    """`<prefix>_INTERNAL_URL`."""
    return Variable(
        name=f"{prefix}_INTERNAL_URL",
        kind=Kind.URL,
        example="http://authentik-server:9000",
        check=check_origin,
        help=(
            "Where this server itself reaches the provider, if its public name leads nowhere from "
            "here, as between containers: scheme, host and port alone. Browsers and tokens keep "
            "the public name of the issuer, which is sent along as Host."
        ),
    )


def check_origin(url: str) -> str:
    """An address without a path."""
    if url.partition("://")[2].count("/"):
        raise Unreadable(f"{echo(url)} has a path", "write only scheme, host and port")
    return url


SOCIAL = Section(
    "Sign-in through other providers",
    "Each provider with an id and a secret has a button on the sign-in page. A new user gets an "
    "account only where registration by providers is open.\n\n"
    "Besides the providers below, every other OAuth 2.0 provider of django-allauth works by "
    "`<ID>_CLIENT_ID` and `<ID>_CLIENT_SECRET`, for example `GITLAB_CLIENT_ID`. "
    "`<ID>_CALLBACK_URL` (`/oauth/<id>/callback`), `<ID>_TRUST_EMAIL` and `<ID>_SETTINGS` are "
    "optional; the last is JSON of the settings that django-allauth documents for the provider, "
    """for example `GITLAB_SETTINGS={"GITLAB_URL": "https://git.example.com"}`. The ids are: """
    f"{', '.join(f'`{name}`' for name in usable_ids() if name not in DOCUMENTED)}.",
    *(
        Variable(
            name="ALLOW_SOCIAL_LOGIN",
            kind=Kind.BOOL,
            default="true",
            example="false",
            origin="LibreChat",
            help=(
                "Whether configured providers have their buttons: the social ones and those of "
                "OpenID Connect. Unlike in LibreChat it need not be written."
            ),
        ),
        Variable(
            name="ALLOW_SOCIAL_REGISTRATION",
            kind=Kind.BOOL,
            default="false",
            example="true",
            origin="LibreChat",
            help=(
                "Whether somebody who signs in through a social provider (any but those of OpenID "
                "Connect) for the first time gets an account, with the role DEFAULT_ROLE. "
                "ALLOWED_EMAILS counts here too. A written false closes OpenID Connect to "
                "newcomers as well, unless OPENID_REGISTRATION is written."
            ),
        ),
        Variable(
            name="TRUSTED_EMAIL_PROVIDERS",
            kind=Kind.LIST,
            default="",
            default_note="none",
            example="google,authentik",
            help=(
                "Providers, by the names in their addresses here, whose verified email addresses "
                "may connect to an account that is in use already. Others do so only after a "
                "sign-in, on the account page."
            ),
        ),
        Variable(
            name="PROVIDER_CA_CERT_PATH",
            kind=Kind.PATH,
            example="/etc/ssl/certs/company-ca.pem",
            default_note="none beside the machine's own",
            help=(
                "PEM of an authority of your own that signed the certificates of providers and "
                "issuers; it counts beside those of the machine."
            ),
        ),
        *_variables("google"),
        *_variables("github"),
        Variable(
            name="GITHUB_ENTERPRISE_BASE_URL",
            kind=Kind.URL,
            example="https://github.example.com",
            default_note="github.com",
            origin="LibreChat",
            help="The address of a GitHub Enterprise server of your own.",
        ),
        Variable(
            name="GITHUB_ENTERPRISE_USER_AGENT",
            kind=Kind.TEXT,
            example="Gatehouse",
            default_note="Gatehouse",
            origin="LibreChat",
            help="The User-Agent of requests to GitHub.",
        ),
        *_variables("discord"),
        *_variables("facebook"),
        *_variables("apple"),
        Variable(
            name="APPLE_TEAM_ID",
            kind=Kind.TEXT,
            example="ABCDE12345",
            origin="LibreChat",
            help="The team id of your Apple developer account.",
        ),
        Variable(
            name="APPLE_KEY_ID",
            kind=Kind.TEXT,
            example="ABC123DEFG",
            origin="LibreChat",
            help="The id of the key with which Apple's client secret is made.",
        ),
        Variable(
            name="APPLE_PRIVATE_KEY_PATH",
            kind=Kind.PATH,
            example="keys/AuthKey_ABC123DEFG.p8",
            origin="LibreChat",
            help="The file with that key, as Apple gave it. A relative path begins at DATA_DIR.",
        ),
    ),
)
