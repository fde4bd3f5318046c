"""Authenticate an API key with one query, however many keys exist.

Nothing here depends on SECRET_KEY: the digest of a 256-bit random secret needs no key
(ASVS 6.5.2).
"""

import hmac
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from api.apikeys import key_format, quota, sql
from api.errors import ApiKeyInvalid
from api.models import ApiKey
from api.permissions import AuthContext, effective_scopes, require_account_access
from core.crypto.tokens import digest
from core.web.client_ip import Network, parse_address

PURPOSE = "api-key"
# Compared with when the id is unknown, so that unknown and known ids take the same time.
DUMMY_DIGEST = "0" * 64


class ApiKeyMalformed(ApiKeyInvalid):
    """Not in the format of a key, or with a wrong checksum; detected without a query."""

    default_message = _("This is not an API key, or a part of it is missing.")


def digest_of(parts: key_format.KeyParts) -> str:
    """The digest that is stored for a key."""
    return digest(PURPOSE, parts.digest_input)


def authenticate_key(text: str, ip: str) -> ApiKey:
    """Return the live key for `text`, with its `user` loaded.

    ip: the client's address, "" if unknown. Counts the use against the quota, and saves it as the
    last use at most once a minute. Raises ApiKeyMalformed without a query; ApiKeyInvalid;
    AccessDenied if the account may not act; RateLimited.
    """
    key, now = _find(text), timezone.now()
    require_usable(key, now, ip=ip)
    quota.consume(key.pk, now)
    _note_use(key, ip, now)
    return key


def known_key(text: str, ip: str, now: datetime) -> ApiKey:
    """The same for an app that was sent the key, outside of its quota. ip: as the app says.

    Raises ApiKeyInvalid, AccessDenied.
    """
    key = _find(text)
    require_usable(key, now, ip=ip)
    _note_use(key, ip, now)
    return key


def _find(text: str) -> ApiKey:
    """The key for `text`, whether or not it works. Raises ApiKeyMalformed, ApiKeyInvalid."""
    parts = key_format.parse(text)
    if parts is None:
        raise ApiKeyMalformed
    key = sql.find_key(parts.id)
    is_match = hmac.compare_digest(key.digest if key else DUMMY_DIGEST, digest_of(parts))
    if key is None or not is_match:
        raise ApiKeyInvalid
    return key


def _note_use(key: ApiKey, ip: str, now: datetime) -> None:
    if quota.is_due(key.pk, key.last_used_at, now):
        sql.note_use(key, ip, now)


def require_usable(key: ApiKey, now: datetime, *, ip: str | None) -> None:
    """Raise ApiKeyInvalid or AccessDenied unless the key works now, from the address `ip`.

    ip: None for an address that the key allows.
    """
    _require_live(key, now)
    if ip is not None:
        _require_network(key, ip)
    require_account_access(key.user, key.created_at, by_key=True)


def context_for_key(key: ApiKey) -> AuthContext:
    """The context of an authenticated key; its scopes never exceed the owner's present role."""
    found = key.scopes if isinstance(key.scopes, list | tuple) else ()
    stored = tuple(scope for scope in found if isinstance(scope, str))
    return AuthContext(user=key.user, scopes=effective_scopes(stored, key.user.role), key=key)


def _require_live(key: ApiKey, now: datetime) -> None:
    match key.state(now):
        case "revoked":
            raise ApiKeyInvalid(str(_("This API key has been revoked.")))
        case "expired":
            raise ApiKeyInvalid(str(_("This API key has expired.")))


def _require_network(key: ApiKey, ip: str) -> None:
    if not _allows(key.networks, ip):
        raise ApiKeyInvalid(str(_("This API key does not work from your network address.")))


def _allows(stored: Any, ip: str) -> bool:
    """Whether the networks stored with a key allow `ip`.

    An empty list allows every address. A value that is not a list allows none.
    """
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
