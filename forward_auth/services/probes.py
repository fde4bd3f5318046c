"""Requests of the live test say so, and the answer to a denied check says which names arrived.

Nothing is decided by it: a probe is denied like any request without a credential, and opens
nothing. It makes the names of a fixed list visible to who has sent them, and only to the server
that signed the probe, so that no one else learns what a proxy leaves in place.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core import signing

from forward_auth.decisions import IDENTITY
from forward_auth.request import DROPPED_NAMES, PROBE_KEY

PROBE, NAMES, SEEN = "X-Gatehouse-Probe", "X-Gatehouse-Names", "X-Gatehouse-Seen"
NONE_SEEN = "none"
LIFE_SECONDS = 60
SALT = "gatehouse.live-test"
# What apps commonly trust, each in the spelling of its product.
OTHERS = (
    "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-User",
    "X-Authentik-Username", "X-Webauth-User",
)  # fmt: skip
CLAIMED = (*IDENTITY, "Remote-Token")
HYPHENS = (*CLAIMED, *OTHERS)
# Many servers read these as the names with hyphens.
OTHER_SPELLINGS = (
    *(name.replace("-", "_") for name in HYPHENS),
    *(name.replace("-", ".") for name in CLAIMED),
)
SPOOFED = (*HYPHENS, *OTHER_SPELLINGS)
_WATCHED = {name.lower(): name for name in SPOOFED}


def new_probe() -> str:
    """The value of the header PROBE, valid for a minute."""
    return signing.TimestampSigner(salt=SALT).sign("probe")


def seen_names(environ: Mapping[str, Any]) -> str | None:
    """The value of SEEN for the answer to this check; None unless it is a probe of ours."""
    probe = environ.get(PROBE_KEY, "")
    if not probe:
        return None
    try:
        signing.TimestampSigner(salt=SALT).unsign(probe, max_age=LIFE_SECONDS)
    except signing.BadSignature:
        return None
    return ", ".join(_found(environ)) or NONE_SEEN


def _found(environ: Mapping[str, Any]) -> list[str]:
    """The watched names that arrived, in the order of SPOOFED."""
    names = {key[5:].replace("_", "-").lower() for key in environ if key.startswith("HTTP_")}
    names |= set(_lower(environ.get(DROPPED_NAMES, ())))
    # HAProxy asks with a few headers, and names the others.
    names |= set(_lower(environ.get("HTTP_X_GATEHOUSE_NAMES", "").split(",")))
    return [name for lower, name in _WATCHED.items() if lower in names]


def _lower(names: Iterable[str]) -> Iterable[str]:
    return (name.strip().lower() for name in names)
