"""What a proxy is told: status and headers, for the short way and for Django alike. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from accounts.roles import Role
from forward_auth.authentication import Outcome, Pass, Refusal
from forward_auth.request_target import Target
from forward_auth.rules.matching import Demand

Headers = Sequence[tuple[str, str]]
# A member of an enumeration by its name costs as much as ten look-ups.
NONE = Role.NONE
BASIC, BEARER = 'Basic realm="Gatehouse", charset="UTF-8"', "Bearer"
IDENTITY = ("Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Id")
NO_IDENTITY: Headers = tuple((name, "") for name in IDENTITY)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(slots=True)
class Verdict:
    """status: 204, 401 or 403. code: why not, "" for 204. bearer: whose headers a 204 carries."""

    status: int
    code: str
    demand: Demand
    bearer: Pass | None = None


def verdict(
    demand: Demand, outcome: Outcome, target: Target, *, is_here: bool, needs_proof: bool
) -> Verdict:
    """May the bearer of this credential do that?

    is_here: the client's address lies in the credential's networks. needs_proof: an address that
    is not proved passes nowhere.
    """
    if not is_here:
        outcome = Refusal(outcome.kind, "api_key_invalid")
    if demand.floor is None:
        return Verdict(204, "", demand, outcome if isinstance(outcome, Pass) else None)
    if isinstance(outcome, Refusal):
        return Verdict(403 if outcome.is_known else 401, outcome.code, demand)
    if needs_proof and not outcome.is_verified:
        return Verdict(403, "email_unverified", demand)
    if demand.is_denied or outcome.role.rank < demand.floor.rank or outcome.role is NONE:
        return Verdict(403, "forbidden", demand)
    if not (outcome.may_read if target.is_reading else outcome.may_write):
        return Verdict(403, "scope_missing", demand)
    return Verdict(204, "", demand, outcome)


def identity_headers(bearer: Pass | None) -> Headers:
    """Every identity header, empty where there is nothing to say, so that none is inherited.

    Remote-User is the address: proved, unique, and not free to choose like a user name.
    """
    if bearer is None:
        return NO_IDENTITY
    # Enum's own `value` costs as much as the rest.
    return _headers(bearer.email, bearer.name, bearer.role._value_, bearer.user_id)


@lru_cache(maxsize=4096)
def _headers(email: str, name: str, role: str, user_id: str) -> Headers:
    """Most credentials are of the same people."""
    email = _one_line(email)
    return tuple(zip(IDENTITY, (email, email, _one_line(name), role, user_id), strict=True))


def is_browser(environ: Mapping[str, Any]) -> bool:
    """Does a browser ask? It would answer a challenge for Basic with a window of its own."""
    return "HTTP_SEC_FETCH_MODE" in environ or environ.get("HTTP_USER_AGENT", "").startswith(
        "Mozilla/"
    )


def challenge(environ: Mapping[str, Any]) -> str:
    """WWW-Authenticate of a 401. git, WebDAV and CalDAV send their password only when asked."""
    return BEARER if is_browser(environ) else f"{BASIC}, {BEARER}"


def as_wsgi(text: str) -> str:
    """UTF-8 as WSGI and Django carry it: each byte as the character of that number."""
    return text.encode().decode("latin-1")


def from_wsgi(text: str) -> str:
    """The text back; as it is when it was carried otherwise."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _one_line(text: str) -> str:
    """Without what would end a header."""
    return (text if text.isprintable() else _UNPRINTABLE.sub(" ", text)).strip()
