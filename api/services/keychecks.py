"""Is this key good, now, from here? One statement, whatever the number of keys.

Nothing of it depends on SECRET_KEY: the digest of a 256-bit random secret needs no key (ASVS
6.5.2), and signed-out sessions leave keys alone.
"""

import hmac
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.client import Network, parse_address
from accounts.roles import Role
from accounts.tokens import digest
from api import keyformat, keymeter, keyrows
from api.access import Access, Scope, pass_gate, scopes_of
from api.errors import ApiKeyInvalid
from api.models import ApiKey

PURPOSE = "api-key"
# What an unknown id is compared with, so that it takes as long as a known one.
NOBODYS = "0" * 64


class ApiKeyMistyped(ApiKeyInvalid):
    """Not written like a key, or its checksum is wrong: known without a look-up."""

    default_message = _("This is not an API key, or a part of it is missing.")


def digest_of(parts: keyformat.KeyParts) -> str:
    """What is kept of a key."""
    return digest(PURPOSE, parts.proof)


def check(text: str, ip: str) -> ApiKey:
    """The live key that `text` is, its `user` loaded; counts the use and notes it now and then.

    ip: the client's address, "" when unknown. Raises ApiKeyMistyped without touching the
    database; ApiKeyInvalid, Refused (the person may not act now), RateLimited.
    """
    parts = keyformat.parse(text)
    if parts is None:
        raise ApiKeyMistyped
    key = keyrows.find_key(parts.id)
    is_right = hmac.compare_digest(key.digest if key else NOBODYS, digest_of(parts))
    if key is None or not is_right:
        raise ApiKeyInvalid
    now = timezone.now()
    _require_live(key, now)
    _require_network(key, ip)
    pass_gate(key.user, key.created_at, by_key=True)
    keymeter.spend(key.pk, now)
    if keymeter.is_due(key.pk, key.last_used_at, now):
        keyrows.note_use(key, ip, now)
    return key


def access_by(key: ApiKey) -> Access:
    """How far a checked key reaches: never further than its owner's role of today."""
    stored = key.scopes if isinstance(key.scopes, list | tuple) else ()
    scopes = frozenset(scope for scope in Scope if scope in stored)
    return Access(user=key.user, scopes=scopes & scopes_of(Role(key.user.role)), key=key)


def _require_live(key: ApiKey, now: datetime) -> None:
    match key.state(now):
        case "revoked":
            raise ApiKeyInvalid(str(_("This API key has been revoked.")))
        case "expired":
            raise ApiKeyInvalid(str(_("This API key has expired.")))


def _require_network(key: ApiKey, ip: str) -> None:
    if not _is_here(key.networks, ip):
        raise ApiKeyInvalid(str(_("This API key does not work from your network address.")))


def _is_here(stored: Any, ip: str) -> bool:
    """Does the key work from there? What is no list of networks is nowhere, not everywhere."""
    if not isinstance(stored, list | tuple):
        return False
    if not stored:
        return True
    address = parse_address(ip)
    if address is None:
        return False
    try:
        networks = _networks(tuple(stored))
    except (ValueError, TypeError):
        return False
    return any(address.version == net.version and address in net for net in networks)


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)
