"""Checks of AUTH_BACKEND=jwt: what it requires, and what contradicts it."""

from collections.abc import Iterator, Mapping
from typing import Any

from config.environment.errors import Problem, without_effect
from config.environment.parsing.public_keys import key_problems
from config.environment.parsing.urls import is_unencrypted
from config.environment.registry.external_jwt import key_urls
from core.text.plain_text import echo

ISSUER_FIX = (
    "set it to the provider's issuer, for example "
    "AUTH_JWT_ISSUER=https://authentik.example.com/application/o/reflector/"
)
AUDIENCE_FIX = "set it to the client id or API name of your tokens (their claim aud)"


def check_external_jwt(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Errors of AUTH_BACKEND=jwt; none without it."""
    if values["AUTH_BACKEND"] != "jwt":
        return
    if not values["AUTH_JWT_ISSUER"]:
        what = "is missing while AUTH_BACKEND is jwt, so no tokens could be accepted"
        yield Problem("AUTH_JWT_ISSUER", what, ISSUER_FIX)
    if not values["AUTH_JWT_AUDIENCE"]:
        what = (
            "is missing while AUTH_BACKEND is jwt, so tokens for other services would be accepted"
        )
        yield Problem("AUTH_JWT_AUDIENCE", what, AUDIENCE_FIX)
    if not values["AUTH_JWT_ALGORITHM"]:
        yield Problem("AUTH_JWT_ALGORITHM", "names no algorithm", "write RS256")
    if values["PUBLIC_URL"] in values["AUTH_JWT_ISSUER"]:
        what = "names this site, whose own tokens are always accepted"
        yield Problem("AUTH_JWT_ISSUER", what, "name other issuers only")
    yield from _key_sources(values)


def _key_sources(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys come from exactly one source: the file, the URL, or discovery."""
    if values["AUTH_JWT_PUBLIC_KEY"]:
        yield from key_problems(values)
        if values["AUTH_JWT_JWKS_URL"]:
            what = "is set beside AUTH_JWT_PUBLIC_KEY, which is another source of keys"
            yield Problem("AUTH_JWT_JWKS_URL", what, "remove one of them")
        if len(set(values["AUTH_JWT_ISSUER"])) > 1:
            what = "is one key for several issuers, so each of them could sign for the others"
            fix = "name one issuer in AUTH_JWT_ISSUER, or remove it and let keys be fetched"
            yield Problem("AUTH_JWT_PUBLIC_KEY", what, fix)
        return
    bound = key_urls(values["AUTH_JWT_JWKS_URL"])
    yield from _bindings(bound, values["AUTH_JWT_ISSUER"])
    named = [issuer for issuer, _url in bound]
    discovered = (
        []
        if "" in named
        else [issuer for issuer in values["AUTH_JWT_ISSUER"] if issuer not in named]
    )
    yield from _plain_http("AUTH_JWT_JWKS_URL", [url for _issuer, url in bound], values)
    yield from _plain_http("AUTH_JWT_ISSUER", discovered, values)


def _bindings(bound: list[tuple[str, str]], issuers: list[str]) -> Iterator[Problem]:
    """Each URL of keys belongs to one issuer (RFC 8725, 3.8)."""
    name = "AUTH_JWT_JWKS_URL"
    urls: dict[str, str] = {}
    for issuer, url in bound:
        if not issuer and (len(set(issuers)) > 1 or len(bound) > 1):
            what = f"{echo(url)} does not say whose keys these are, so each issuer could sign for"
            fix = f"write ISSUER=URL, for example {name}={issuers[0] if issuers else ''}={url}"
            yield Problem(name, f"{what} the others", fix)
        elif issuer and issuer not in issuers:
            what = f"has keys of {echo(issuer)}, which AUTH_JWT_ISSUER does not name"
            yield Problem(name, what, "add it there, or remove the entry")
        elif urls.setdefault(url, issuer) != issuer:
            what = f"gives {echo(url)} to several issuers, so each could sign for the others"
            yield Problem(name, what, "write the address of each issuer's own keys")
    named = [issuer for issuer, _url in bound if issuer]
    for issuer in sorted({issuer for issuer in named if named.count(issuer) > 1}):
        yield Problem(name, f"names {echo(issuer)} twice", "keep one entry")


def _plain_http(name: str, urls: list[str], values: Mapping[str, Any]) -> Iterator[Problem]:
    for url in urls:
        if is_unencrypted(url) and not values["DEBUG"]:
            what = f"{echo(url)} is not https, so an attacker in the network could replace the keys"
            yield Problem(name, what, "write the https:// address of the provider")


def bound_key_urls(env: Any) -> tuple[str, dict[str, str]]:
    """(URL of the keys of the only issuer, or ""; issuer -> URL of its keys).

    `env` must have no errors.
    """
    bound = key_urls(env["AUTH_JWT_JWKS_URL"])
    alone = next((url for issuer, url in bound if not issuer), "")
    return alone, {issuer: url for issuer, url in bound if issuer}


def check_unused_external_jwt(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Warnings: settings that have no effect with this AUTH_BACKEND."""
    if values["AUTH_BACKEND"] == "jwt":
        return
    for name in ("AUTH_JWT_PUBLIC_KEY", "AUTH_JWT_AUDIENCE", "AUTH_JWT_ISSUER", "AUTHENTIK_ISSUER"):
        is_for_sign_in = name == "AUTHENTIK_ISSUER" and values["AUTHENTIK_CLIENT_ID"]
        if values[name] and not is_for_sign_in:
            yield without_effect(name, "AUTH_BACKEND=jwt")


def external_public_key(env: Any) -> str:
    """The PEM text of AUTH_JWT_PUBLIC_KEY, or "". `env` must have no errors."""
    if env["AUTH_BACKEND"] != "jwt" or not env["AUTH_JWT_PUBLIC_KEY"]:
        return ""
    pem: str = env["AUTH_JWT_PUBLIC_KEY"].read(env["DATA_DIR"])
    return pem
