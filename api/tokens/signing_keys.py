"""The ring of signing keys: made at first need, rotated ahead of time, retired with their tokens.

Each process keeps what it read for at most RING_SECONDS. So a key that is killed in an emergency
is dead in every process a second later, for one small query a second; nothing else has to carry
the news. A `kid` that is not there makes the process look again at once, but only once a second,
whatever strangers send.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actors import SYSTEM, Actor
from api.models import SigningKey
from api.tokens import keyset
from api.tokens.jwt import CLOCK_SKEW, Signer
from api.tokens.keyset import KeyPair, KeySet, KeySetEntry, PrivateKey
from audit import audit_log
from core.encryption import DecryptionError, decrypt, encrypt
from core.locks import AUDIT, acquire_lock

logger = logging.getLogger("gatehouse.keys")
MAX_AGE_SECONDS = 1.0
HS256 = "HS256"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the key that signs from `active_from` on, and those it replaces."""

    kid: str
    active_from: datetime
    replaced: tuple[str, ...]


class KeySetCache:
    """The ring as this process last read it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key_set = KeySet()
        self.forget()

    def forget(self) -> None:
        """Read anew at the next look; a read that is under way counts as older.

        The ring stays: whoever looks at this moment and takes no lock gets it, and no empty one.
        """
        with self._lock:
            self._read_at = self._searched_at = -MAX_AGE_SECONDS

    def get(self) -> KeySet:
        """The ring, at most RING_SECONDS old."""
        if time.monotonic() - self._read_at >= MAX_AGE_SECONDS:
            with self._lock:
                if time.monotonic() - self._read_at >= MAX_AGE_SECONDS:
                    self._read()
        return self._key_set

    def get_with(self, kid: str) -> KeySet:
        """The ring; read once more, at most each second, when `kid` is not in it."""
        key_set = self.get()
        if key_set.has(kid) or time.monotonic() - self._searched_at < MAX_AGE_SECONDS:
            return key_set
        with self._lock:
            if time.monotonic() - self._searched_at >= MAX_AGE_SECONDS:
                self._searched_at = time.monotonic()
                self._read()
        return self._key_set

    def _read(self) -> None:
        started_at = time.monotonic()  # before the query: what it shows may be as old as that
        self._key_set = read_key_set()
        self._read_at = started_at


key_set_cache = KeySetCache()


class AccessKeys:
    """The keys of access tokens: the ring, or JWT_SECRET alone. Never both kinds (ASVS 9.1.2)."""

    def signer(self) -> Signer:
        """The key that signs now; the first one is made here."""
        if settings.JWT_SECRET:
            return Signer("", HS256, settings.JWT_SECRET.encode())
        key = _signer(key_set_cache.get()) or _make_signer()
        try:
            private = _opened(key.kid, key.sealed_private)
        except DecryptionError:
            logger.warning("a signing key cannot be read and is replaced", extra={"kid": key.kid})
            key = _make_signer(unreadable=key.kid)
            private = _opened(key.kid, key.sealed_private)
        return Signer(key.kid, key.algorithm, private)

    def verifier(self, algorithm: str, kid: str) -> Any | None:
        if settings.JWT_SECRET:
            return settings.JWT_SECRET.encode() if algorithm == HS256 else None
        if algorithm not in keyset.MEMBERS:
            return None
        found = key_set_cache.get_with(kid).verifier(kid, algorithm, timezone.now())
        return found.public if found else None


def read_key_set() -> KeySet:
    """Every key that is not retired, and those retired a short while ago."""
    rows = SigningKey.objects.order_by("active_from", "created_at")
    return KeySet(tuple(_parsed(row) for row in rows))


def published_keys() -> list[dict[str, str]]:
    """The members of the key set. Empty where a shared secret signs."""
    if settings.JWT_SECRET:
        return []
    if _signer(key_set_cache.get()) is None:
        _make_signer()  # so that a backend which starts before the first sign-in finds a key
    return key_set_cache.get().published(timezone.now())


def rotate(*, actor: Actor) -> Rotation | None:
    """Publish a new key that signs after JWT_KEY_PUBLISH_AHEAD; None when one waits already."""
    new = keyset.make_key(settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        if key_set.pending(new.algorithm, now):
            return None
        signer = _signer(key_set)
        starts = now + settings.JWT_KEY_PUBLISH_AHEAD if signer else now
        rotation = _install(key_set, new, starts, ends=starts + _longest_token())
        _record("rotate", actor, rotation)
    return _announced(rotation)


def rotate_now(*, actor: Actor) -> Rotation:
    """The waiting key, or else a new one, signs at once; older ones are believed to the end."""
    new = keyset.make_key(settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        rotation = _install_at_once(key_set, new, now)
        _record("rotate", actor, rotation)
    return _announced(rotation)


def replace_all(*, actor: Actor) -> Rotation:
    """A new key signs at once, and nothing that an older one signed is believed any more.

    For a key that has leaked. Waiting keys go as well: they lay beside it. Refresh tokens are
    signed by another secret and stay, so programs get new access tokens by themselves.
    """
    new = keyset.make_key(settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        rotation = _install(key_set, new, now, ends=now)
        _record("replace-all", actor, rotation)
    return _announced(rotation)


def rotate_when_due() -> Rotation | None:
    """Worker job: a new key is published in time for the old one's age to be JWT_KEY_MAX_AGE."""
    if settings.JWT_SECRET or not _is_due(key_set_cache.get()):
        return None
    new = keyset.make_key(settings.JWT_ALGORITHM)
    with transaction.atomic():
        key_set = _lock_key_set()
        if not _is_due(key_set):
            return None
        starts = timezone.now() + settings.JWT_KEY_PUBLISH_AHEAD
        rotation = _install(key_set, new, starts, ends=starts + _longest_token())
        _record("rotate", SYSTEM, rotation)
    return _announced(rotation)


def purge_keys(before: datetime) -> int:
    """Delete keys that were retired before `before`; returns how many."""
    return SigningKey.objects.filter(retires_at__lt=before).delete()[0]


def _signer(key_set: KeySet) -> KeySetEntry | None:
    return key_set.signer(settings.JWT_ALGORITHM, timezone.now(), settings.SESSION_EXPIRY)


def _make_signer(unreadable: str = "") -> KeySetEntry:
    """The key of the configured algorithm that signs from now on; one, however many ask at once.

    There is none on a fresh instance, after a change of JWT_ALGORITHM, and when ENCRYPTION_KEY is
    not the one that encrypted `unreadable`.
    """
    new = keyset.make_key(settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        found = _signer(key_set)
        if found is None:
            _record("create", SYSTEM, _install_at_once(key_set, new, now))
            found = _signer(read_key_set())
        elif found.kid == unreadable:
            _record("create", SYSTEM, _install(key_set, new, now, ends=now + _longest_token()))
            found = _signer(read_key_set())
    key_set_cache.forget()
    if found is None:
        raise RuntimeError("a signing key that was just made does not sign")
    return found


def _is_due(key_set: KeySet) -> bool:
    now = timezone.now()
    if key_set.pending(settings.JWT_ALGORITHM, now):
        return False
    signer = _signer(key_set)
    if signer is None:
        return False  # the first one is made at first need
    age_at_change = now + settings.JWT_KEY_PUBLISH_AHEAD - signer.active_from
    return bool(age_at_change >= settings.JWT_KEY_MAX_AGE)


def _lock_key_set() -> KeySet:
    """The ring, which nobody else changes until this transaction ends.

    Each change is an audit row as well, so the lock of the audit log is the one that it needs.
    """
    acquire_lock(AUDIT)
    return read_key_set()


def _install_at_once(key_set: KeySet, new: KeyPair, now: datetime) -> Rotation:
    """The waiting key of the algorithm, or else `new`, signs from `now` on."""
    waiting = key_set.pending(new.algorithm, now)
    ends = now + _longest_token()
    if waiting is None:
        return _install(key_set, new, now, ends=ends)
    SigningKey.objects.filter(pk=waiting.kid).update(active_from=now, retires_at=None)
    return Rotation(waiting.kid, now, _retire(key_set, ends, but=waiting.kid))


def _install(key_set: KeySet, new: KeyPair, starts: datetime, *, ends: datetime) -> Rotation:
    """Write `new`, which signs from `starts` on; all others are believed until `ends` at most."""
    SigningKey.objects.create(
        kid=new.kid,
        algorithm=new.algorithm,
        public_jwk=new.public_jwk,
        sealed_private=encrypt(new.pem, _associated_data(new.kid)),
        created_at=timezone.now(),
        active_from=starts,
    )
    return Rotation(new.kid, starts, _retire(key_set, ends, but=new.kid))


def _retire(key_set: KeySet, ends: datetime, *, but: str) -> tuple[str, ...]:
    """Give every other key its end, unless it has an earlier one; returns their names."""
    names = tuple(key.kid for key in key_set.keys if key.kid != but and key.is_trusted(ends))
    SigningKey.objects.filter(pk__in=names).update(retires_at=ends)
    return names


def _longest_token() -> timedelta:
    """How long a token that is signed at a moment may be believed after it, on any node."""
    lifetime: timedelta = settings.SESSION_EXPIRY
    return lifetime + CLOCK_SKEW


def _record(action: str, actor: Actor, rotation: Rotation) -> None:
    audit_log.record(
        f"api:signing-key:{action}",
        actor=actor,
        kid=rotation.kid,
        signs_from=rotation.active_from.isoformat(),
        replaced=list(rotation.replaced),
    )


def _announced(rotation: Rotation) -> Rotation:
    """Nothing that this process remembers is older than the act."""
    key_set_cache.forget()
    return rotation


@lru_cache(maxsize=64)
def _public(kid: str, members: tuple[tuple[str, str], ...]) -> Any:
    """Parsed once for each key; `kid` is the hash of what is parsed."""
    return keyset.public_key(dict(members))


@lru_cache(maxsize=16)
def _opened(kid: str, encrypted: str) -> PrivateKey:
    """The private half. Raises DecryptionError after a change of ENCRYPTION_KEY."""
    return keyset.private_key(decrypt(encrypted, _associated_data(kid)))


def _parsed(row: SigningKey) -> KeySetEntry:
    return KeySetEntry(
        kid=row.kid,
        algorithm=row.algorithm,
        public_jwk=row.public_jwk,
        public=_public(row.kid, tuple(sorted(row.public_jwk.items()))),
        sealed_private=row.sealed_private,
        active_from=row.active_from,
        retires_at=row.retires_at,
    )


def _associated_data(kid: str) -> str:
    return f"api_signingkey.sealed_private:{kid}"
