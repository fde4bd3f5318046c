"""Settings of tokens that another issuer has made: AUTH_BACKEND=jwt."""

from collections.abc import Mapping
from typing import Any

from config.environment.errors import Unreadable
from config.environment.parsing.urls import parse_url
from config.environment.schema import (
    Alias,
    Section,
    choice,
    duration,
    public_key,
    switch,
    text,
    words,
)
from core.text.plain_text import echo

DISCOVERY = "/.well-known/openid-configuration"
# Only asymmetric ones, because a key that verifies a symmetric signature also creates one.
ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)
# Microsoft's issuers for any tenant: each token names the issuer of its own tenant.
EVERY_TENANT = ("common", "organizations", "consumers")
TENANT_FIX = (
    "write one issuer for each tenant, such as "
    "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
)


def check_algorithms(names: list[str]) -> list[str]:
    """Names of RFC 7518 and 8037, spelt as there."""
    spelt = {name.lower(): name for name in ALGORITHMS}
    return [_algorithm(name, spelt) for name in names]


def _algorithm(name: str, spelt: Mapping[str, str]) -> str:
    if name.lower() in spelt:
        return spelt[name.lower()]
    fix = f"write one or more of {', '.join(ALGORITHMS)}"
    if name.lower() == "none":
        raise Unreadable("allows tokens without a signature (none)", fix)
    if name.lower().startswith("hs"):
        what = f"{echo(name)} is symmetric, so everyone who knows the key could create tokens"
        raise Unreadable(what, fix)
    raise Unreadable(f"{echo(name)} is not a supported signature algorithm", fix)


def check_issuers(issuers: list[str]) -> list[str]:
    """Issuers as compared later: without the path of discovery and a slash at the end."""
    return [check_issuer(issuer) for issuer in issuers]


def check_issuer(text: str) -> str:
    """One issuer or its discovery address, otherwise as it was written."""
    if "{" in text or "}" in text:
        raise Unreadable(f"{echo(text)} stands for many issuers", TENANT_FIX)
    issuer = text.removesuffix("/").removesuffix(DISCOVERY).removesuffix("/")
    parse_url(issuer)
    host, *path = issuer.partition("://")[2].split("/")
    if host.lower() == "login.microsoftonline.com" and path[:1] and path[0] in EVERY_TENANT:
        raise Unreadable(f"{echo(text)} stands for the issuers of all tenants", TENANT_FIX)
    return issuer


def check_key_urls(entries: list[str]) -> list[str]:
    """`URL`, or `ISSUER=URL` for the keys of one issuer of several."""
    return [f"{issuer}={url}" if issuer else url for issuer, url in map(_key_url, entries)]


def _key_url(entry: str) -> tuple[str, str]:
    issuer, sign, url = entry.partition("=http")
    if not sign or "://" not in issuer:
        return "", parse_url(entry)
    return check_issuer(issuer), parse_url(f"http{url}")


def key_urls(entries: list[str]) -> list[tuple[str, str]]:
    """(issuer, URL) of each entry; issuer "" where none is written."""
    return [_key_url(entry) for entry in entries]


def issuers_of(values: Mapping[str, Any]) -> list[str]:
    """Reflector names its one issuer apart from its tokens."""
    issuer = values["AUTHENTIK_ISSUER"]
    return [issuer] if issuer and values["AUTH_BACKEND"] == "jwt" else []


FOREIGN = Section(
    "Tokens of other issuers",
    "With AUTH_BACKEND=jwt the API also accepts access tokens of an OpenID Connect provider.",
    choice(
        "AUTH_BACKEND",
        default="local",
        example="jwt",
        choices=("local", "jwt", "none"),
        origin="Reflector",
    ).with_help(
        "Whose access tokens the API accepts: local accepts those of Gatehouse, jwt also those of "
        "AUTH_JWT_ISSUER. none has the same effect as ANONYMOUS_MODE=true; users who sign in still "
        "get tokens of Gatehouse."
    ),
    text(
        "AUTHENTIK_ISSUER",
        example="https://authentik.example.com/application/o/reflector/",
        check=check_issuer,
        origin="Reflector",
        aliases=(Alias("AUTH_AUTHENTIK_ISSUER", "LobeChat"),),
    ).with_help(
        "The issuer of authentik, for sign-in with AUTHENTIK_CLIENT_ID. With AUTH_BACKEND=jwt it "
        "is also the default of AUTH_JWT_ISSUER."
    ),
    words(
        "AUTH_JWT_ISSUER",
        default=issuers_of,
        default_note="the value of `AUTHENTIK_ISSUER` with `AUTH_BACKEND=jwt`, else none",
        example="https://authentik.example.com/application/o/reflector/",
        check=check_issuers,
    ).with_help(
        "The issuers whose tokens are accepted, or their discovery URLs, which end with "
        "/.well-known/openid-configuration. A trailing slash makes no difference."
    ),
    words(
        "AUTH_JWT_AUDIENCE",
        default="",
        default_note="none; needed with `AUTH_BACKEND=jwt`",
        example="reflector",
        origin="Reflector",
    ).with_help(
        "The accepted audiences (claim aud) of tokens: usually the client id or the name of the "
        "API at the provider. A token needs one of them."
    ),
    words(
        "AUTH_JWT_ALGORITHM",
        default="RS256",
        example="RS256,ES256",
        check=check_algorithms,
        origin="Reflector",
    ).with_help(
        "The accepted signature algorithms of tokens. Only asymmetric algorithms are allowed."
    ),
    public_key("AUTH_JWT_PUBLIC_KEY", example="keys/authentik.pem", origin="Reflector").with_help(
        "The provider's public key or certificate in PEM, with \\n for line breaks, or the path of "
        "such a file, relative to DATA_DIR. Then nothing is fetched from the provider, and you "
        "must update the key when the provider does. The key belongs to one issuer, so "
        "AUTH_JWT_ISSUER must name only one."
    ),
    words(
        "AUTH_JWT_JWKS_URL",
        default="",
        default_note="found by discovery at /.well-known/openid-configuration",
        example="https://idp.example.com/jwks",
        check=check_key_urls,
    ).with_help(
        "The URL of the provider's keys, if it has no discovery document. With several issuers, "
        "write ISSUER=URL for each. Keys of issuers that are not named here are found by "
        "discovery."
    ),
    duration("AUTH_JWT_LEEWAY", default="30s", example="1m", bounds=("0", "5m")).with_help(
        "The tolerated difference between the provider's clock and this machine's."
    ),
    switch("AUTH_JWT_REGISTRATION", default=False).with_help(
        "Whether a user whose valid token matches no account gets one. Its role is none until an "
        "administrator gives another. ALLOWED_EMAILS applies."
    ),
)
