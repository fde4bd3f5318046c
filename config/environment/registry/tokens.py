"""Settings of our own tokens: who signs them, how long they live, when keys rotate."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from config.environment.errors import Problem, Unreadable, incomplete_pair
from config.environment.schema import Section, duration, secret, text
from core.text.plain_text import echo

ALGORITHMS = ("ES256", "RS256", "EdDSA")
MAX_ADVISED_TOKEN = timedelta(hours=24)
TOKEN_SECRETS = ("JWT_SECRET", "JWT_REFRESH_SECRET")


def check_algorithm(text: str) -> str:
    """One of ALGORITHMS, spelt as in RFC 7518 and RFC 8037."""
    spelt = {name.lower(): name for name in ALGORITHMS}
    if text.lower() in spelt:
        return spelt[text.lower()]
    fix = "write ES256, RS256 or EdDSA; for HS256 set JWT_SECRET and JWT_REFRESH_SECRET instead"
    raise Unreadable(f"{echo(text)} is not a supported algorithm for tokens", fix)


def own_address(values: Mapping[str, Any]) -> str:
    """PUBLIC_URL without a slash at its end, which is the issuer too."""
    return str(values["PUBLIC_URL"]).rstrip("/")


def check_jwt_secret_pair(values: Mapping[str, Any]) -> Iterator[Problem]:
    """HS256 takes two secrets, or none."""
    yield from incomplete_pair(values, *TOKEN_SECRETS)


def check_jwt_secrets_differ(values: Mapping[str, Any]) -> Iterator[Problem]:
    """A secret that does two things lets the tokens of one pass for those of the other."""
    names = ("SECRET_KEY", "ENCRYPTION_KEY", *TOKEN_SECRETS)
    for place, name in enumerate(names):
        for other in names[:place]:
            is_about_tokens = name in TOKEN_SECRETS and values[name] is not None
            if is_about_tokens and values[name] == values[other]:
                yield Problem(
                    name, f"is the same as {other}", "give each secret a value of its own"
                )


def check_token_lifetime(values: Mapping[str, Any]) -> Iterator[Problem]:
    """A warning: backends that verify tokens themselves accept them until they expire."""
    if values["SESSION_EXPIRY"] > MAX_ADVISED_TOKEN:
        what = (
            "is longer than 24 hours: a backend that verifies tokens itself accepts them for so "
            "long after their user lost access"
        )
        yield Problem("SESSION_EXPIRY", what, "write 15m, and refresh tokens when they expire")


def check_jwt_algorithm(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["JWT_SECRET"] is not None and values["JWT_ALGORITHM"] != ALGORITHMS[0]:
        what = "has no effect, because JWT_SECRET makes every access token HS256"
        yield Problem("JWT_ALGORITHM", what, "remove one of them")


TOKENS = Section(
    "Tokens",
    "Access tokens, which backends verify with public keys, and refresh tokens.",
    duration(
        "SESSION_EXPIRY",
        default="15m",
        example="1000 * 60 * 15",
        bounds=("10s", "30d"),
        origin="LibreChat",
    ).with_help(
        "How long an access token is valid. A backend that verifies tokens itself notices a "
        "revocation only after this time; more than 24 hours gives a warning. A number without a "
        "unit is in milliseconds."
    ),
    duration(
        "REFRESH_TOKEN_EXPIRY",
        default="7d",
        example="(1000 * 60 * 60 * 24) * 7",
        bounds=("1m", "366d"),
        origin="LibreChat",
    ).with_help(
        "How long a sign-in by tokens lasts, even if it is refreshed. A number without a unit is "
        "in milliseconds."
    ),
    text(
        "JWT_AUDIENCE",
        default=own_address,
        default_note="PUBLIC_URL",
        example="https://api.example.com",
    ).with_help("The audience of access tokens: the claim `aud`, which backends compare."),
    text("JWT_ALGORITHM", default=ALGORITHMS[0], example="RS256", check=check_algorithm).with_help(
        "ES256, RS256 (3072-bit keys) or EdDSA (Ed25519). After a change, a new key signs new "
        "tokens, and existing tokens stay valid until they expire."
    ),
    duration("JWT_KEY_MAX_AGE", default="90d", example="30d", bounds=("8d", "3650d")).with_help(
        "How long a key signs tokens before a new one replaces it automatically."
    ),
    duration("JWT_KEY_PUBLISH_AHEAD", default="24h", example="2h", bounds=("10m", "7d")).with_help(
        "How long a new key is published before it signs, so that all backends have fetched it by "
        "then."
    ),
    secret(
        "JWT_SECRET",
        default_note="none: access tokens are signed by JWT_ALGORITHM",
        origin="LibreChat",
        strong=True,
    ).with_help(
        "Signs access tokens by HS256 with this secret, for backends that share it. Anyone who has "
        "it can create tokens. There are no public keys then. At least 32 random characters; "
        "requires JWT_REFRESH_SECRET."
    ),
    secret(
        "JWT_REFRESH_SECRET",
        default_note="derived from ENCRYPTION_KEY",
        origin="LibreChat",
        strong=True,
    ).with_help(
        "Signs refresh tokens. Required with JWT_SECRET, and must differ from it. If you change "
        "it, all sign-ins by tokens end."
    ),
)
