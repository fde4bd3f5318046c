"""Settings of tokens that another issuer has made: AUTH_BACKEND=jwt."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from config.environment.errors import Unreadable, echo
from config.environment.parsing.urls import parse_url
from config.environment.schema import Alias, Kind, Section, Variable

DISCOVERY = "/.well-known/openid-configuration"
# Asymmetric alone: who can check such a signature cannot make one.
ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)
# Microsoft's addresses for everybody's tenant: their tokens name another issuer each.
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
        raise Unreadable("admits tokens without a signature (none)", fix)
    if name.lower().startswith("hs"):
        what = f"{echo(name)} is symmetric, so whoever knows the key could make tokens too"
        raise Unreadable(what, fix)
    raise Unreadable(f"{echo(name)} is no algorithm for signatures that is taken here", fix)


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
        raise Unreadable(f"{echo(text)} stands for the issuers of every tenant", TENANT_FIX)
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
    "With AUTH_BACKEND=jwt the API also takes access tokens of an OpenID provider.",
    (
        Variable(
            name="AUTH_BACKEND",
            kind=Kind.CHOICE,
            choices=("local", "jwt", "none"),
            default="local",
            example="jwt",
            origin="Reflector",
            help=(
                "Whose access tokens the API takes: local means those of Gatehouse, jwt also "
                "those of AUTH_JWT_ISSUER. none is the same as ANONYMOUS_MODE=true: nobody has to "
                "sign in; whoever does has the tokens of Gatehouse."
            ),
        ),
        Variable(
            name="AUTHENTIK_ISSUER",
            kind=Kind.TEXT,
            check=check_issuer,
            example="https://authentik.example.com/application/o/reflector/",
            origin="Reflector",
            aliases=(Alias("AUTH_AUTHENTIK_ISSUER", "LobeChat"),),
            help=(
                "The issuer of Authentik, for sign-in with AUTHENTIK_CLIENT_ID, and for tokens "
                "where AUTH_JWT_ISSUER is not given and AUTH_BACKEND is jwt."
            ),
        ),
        Variable(
            name="AUTH_JWT_ISSUER",
            kind=Kind.LIST,
            default_from=issuers_of,
            default_note="the value of `AUTHENTIK_ISSUER` with `AUTH_BACKEND=jwt`, else none",
            check=check_issuers,
            example="https://authentik.example.com/application/o/reflector/",
            help=(
                "The issuers whose tokens are taken, or their addresses that end with "
                "/.well-known/openid-configuration. A slash at the end makes no difference."
            ),
        ),
        Variable(
            name="AUTH_JWT_AUDIENCE",
            kind=Kind.LIST,
            default="",
            default_note="none; needed with `AUTH_BACKEND=jwt`",
            example="reflector",
            origin="Reflector",
            help=(
                "For whom tokens must have been made: the claim aud, mostly the client id or the "
                "name of the API at the provider. One of the list is enough."
            ),
        ),
        Variable(
            name="AUTH_JWT_ALGORITHM",
            kind=Kind.LIST,
            default="RS256",
            check=check_algorithms,
            example="RS256,ES256",
            origin="Reflector",
            help="The algorithms by which tokens may be signed; asymmetric ones alone.",
        ),
        Variable(
            name="AUTH_JWT_PUBLIC_KEY",
            kind=Kind.PUBLIC_KEY,
            example="keys/authentik.pem",
            origin="Reflector",
            help=(
                "The provider's public key or certificate in PEM, with \\n for line breaks, or the "
                "path of such a file; a relative path begins at DATA_DIR. With it nothing is "
                "fetched from the provider, and a new key of the provider has to be put here. "
                "It is the key of one issuer, so AUTH_JWT_ISSUER must not name several."
            ),
        ),
        Variable(
            name="AUTH_JWT_JWKS_URL",
            kind=Kind.LIST,
            check=check_key_urls,
            example="https://idp.example.com/jwks",
            default="",
            default_note="what the provider says at /.well-known/openid-configuration",
            help=(
                "Where the provider publishes its keys, if it has no discovery document. With "
                "several issuers each address says whose keys are there: ISSUER=URL. Those that "
                "are not named here are asked by discovery."
            ),
        ),
        Variable(
            name="AUTH_JWT_LEEWAY",
            kind=Kind.DURATION,
            default="30s",
            example="1m",
            minimum=timedelta(0),
            maximum=timedelta(minutes=5),
            help="How far the provider's clock may differ from this machine's.",
        ),
        Variable(
            name="AUTH_JWT_REGISTRATION",
            kind=Kind.BOOL,
            default="false",
            example="true",
            help=(
                "Whether somebody who comes with a good token for the first time gets an account. "
                "It has the role none until an operator gives another. ALLOWED_EMAILS counts here "
                "too."
            ),
        ),
    ),
)
