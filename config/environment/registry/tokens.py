"""Settings of our own tokens: who signs them, how long they live, when keys rotate."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from config.environment.errors import Problem, Unreadable, echo
from config.environment.schema import Section, duration, secret, text

ALGORITHMS = ("ES256", "RS256", "EdDSA")
MAX_ADVISED_TOKEN = timedelta(hours=24)
TOKEN_SECRETS = ("JWT_SECRET", "JWT_REFRESH_SECRET")


def check_algorithm(text: str) -> str:
    """One of ALGORITHMS, spelt as in RFC 7518 and RFC 8037."""
    spelt = {name.lower(): name for name in ALGORITHMS}
    if text.lower() in spelt:
        return spelt[text.lower()]
    fix = "write ES256, RS256 or EdDSA; for HS256 set JWT_SECRET and JWT_REFRESH_SECRET instead"
    raise Unreadable(f"{echo(text)} is no algorithm that tokens are signed with here", fix)


def own_address(values: Mapping[str, Any]) -> str:
    """PUBLIC_URL without a slash at its end, which is the issuer too."""
    return str(values["PUBLIC_URL"]).rstrip("/")


def check_jwt_secret_pair(values: Mapping[str, Any]) -> Iterator[Problem]:
    """HS256 takes two secrets, or none."""
    for name, other in (TOKEN_SECRETS, TOKEN_SECRETS[::-1]):
        if values[other] is not None and values[name] is None:
            yield Problem(name, f"is missing while {other} is set", f"set it, or remove {other}")


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
    """A warning: nobody can take such a token back from a backend that verifies by itself."""
    if values["SESSION_EXPIRY"] > MAX_ADVISED_TOKEN:
        what = (
            "is longer than 24 hours: a backend that verifies tokens by itself lets somebody who "
            "has been shut out in until their token ends"
        )
        yield Problem("SESSION_EXPIRY", what, "write 15m, and refresh tokens as they end")


def check_jwt_algorithm(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["JWT_SECRET"] is not None and values["JWT_ALGORITHM"] != ALGORITHMS[0]:
        what = "has no effect, because JWT_SECRET makes every access token HS256"
        yield Problem("JWT_ALGORITHM", what, "remove one of them")


TOKENS = Section(
    "Tokens",
    "Access tokens that backends verify with public keys, and refresh tokens that get new ones.",
    duration(
        "SESSION_EXPIRY",
        default="15m",
        example="1000 * 60 * 15",
        bounds=("10s", "30d"),
        origin="LibreChat",
    ).with_help(
        "How long an access token lives. For so long a backend that verifies tokens by itself may "
        "not notice that somebody has been shut out; more than 24 hours give a warning. A bare "
        "number is milliseconds."
    ),
    duration(
        "REFRESH_TOKEN_EXPIRY",
        default="7d",
        example="(1000 * 60 * 60 * 24) * 7",
        bounds=("1m", "366d"),
        origin="LibreChat",
    ).with_help(
        "How long a sign-in by tokens lasts, however often it is refreshed. A bare number is "
        "milliseconds."
    ),
    text(
        "JWT_AUDIENCE",
        default=own_address,
        default_note="PUBLIC_URL",
        example="https://api.example.com",
    ).with_help("For whom access tokens are: the claim `aud`, which backends compare."),
    text("JWT_ALGORITHM", default=ALGORITHMS[0], example="RS256", check=check_algorithm).with_help(
        "ES256, RS256 (keys of 3072 bits) or EdDSA (Ed25519). After a change the next token is "
        "signed by a new key; older tokens stay good until they end."
    ),
    duration("JWT_KEY_MAX_AGE", default="90d", example="30d", bounds=("8d", "3650d")).with_help(
        "How long one key signs before another takes its place by itself."
    ),
    duration("JWT_KEY_PUBLISH_AHEAD", default="24h", example="2h", bounds=("10m", "7d")).with_help(
        "How long a new key is published before it signs, so that every backend has read it by "
        "then."
    ),
    secret(
        "JWT_SECRET",
        default_note="none: access tokens are signed by JWT_ALGORITHM",
        origin="LibreChat",
        strong=True,
    ).with_help(
        "Makes access tokens HS256, signed with this secret, for backends that share it. Whoever "
        "has it can make tokens. There are no public keys then. At least 32 random characters, and "
        "JWT_REFRESH_SECRET beside it."
    ),
    secret(
        "JWT_REFRESH_SECRET",
        default_note="derived from ENCRYPTION_KEY",
        origin="LibreChat",
        strong=True,
    ).with_help(
        "Signs refresh tokens. Needed with JWT_SECRET and different from it. Changing it ends "
        "every sign-in by tokens."
    ),
)
