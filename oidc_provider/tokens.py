"""Access and refresh tokens of apps: opaque, made from their grant, and stored nowhere.

A token names its grant and what it is for, and ends in a MAC with a secret key and the random seed
of the grant. So each use reads the row of the grant, and a ban, a revocation or a new role is
refused at once (docs/decisions/0038-own-provider-core.md). Pure but for the secret key.
"""

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from api.tokens.signing_keys import refresh_secret
from oidc_provider.models import Grant

ACCESS, REFRESH = "gta", "gtr"
_SHAPE = re.compile(
    r"(?P<kind>gta|gtr)_(?P<grant>[0-9a-f]{32})_(?P<number>[0-9]{1,11})_(?P<mask>[0-9]{1,20})"
    r"_(?P<mac>[A-Za-z0-9_-]{43})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """Nothing of it is verified. number: the end of an access token, the generation of a refresh
    token. mask: which scopes of its grant an access token has, a bit for each."""

    kind: str
    grant_id: uuid.UUID
    number: int
    mask: int
    mac: str

    def is_genuine(self, grant: Grant) -> bool:
        """Whether it was made from this row, with our key."""
        expected = _mac(grant, self.kind, self.number, self.mask)
        return hmac.compare_digest(expected.encode(), self.mac.encode())

    def scope_in(self, grant: Grant) -> tuple[str, ...]:
        """The scopes of the grant that are in the mask, whether or not they still exist."""
        names = enumerate(grant.scope.split())
        return tuple(name for place, name in names if self.mask >> place & 1)


def access_token(grant: Grant, ends: int, scope: Sequence[str]) -> str:
    """ends: seconds since 1970. scope: all of the grant, or less; that of a grant never changes."""
    names = grant.scope.split()
    mask = sum(1 << place for place, name in enumerate(names) if name in scope)
    return _token(grant, ACCESS, ends, mask)


def refresh_token(grant: Grant) -> str:
    """The one of the current generation; always the same."""
    return _token(grant, REFRESH, grant.generation, 0)


def parse(text: str) -> ParsedToken | None:
    """None for what cannot be one of our tokens."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    return ParsedToken(
        kind=found["kind"],
        grant_id=uuid.UUID(found["grant"]),
        number=int(found["number"]),
        mask=int(found["mask"]),
        mac=found["mac"],
    )


def _token(grant: Grant, kind: str, number: int, mask: int) -> str:
    return f"{kind}_{grant.pk.hex}_{number}_{mask}_{_mac(grant, kind, number, mask)}"


def _mac(grant: Grant, kind: str, number: int, mask: int) -> str:
    content = f"openid|{kind}|{grant.pk.hex}|{grant.seed}|{number}|{mask}".encode()
    mac = hmac.new(refresh_secret(), content, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
