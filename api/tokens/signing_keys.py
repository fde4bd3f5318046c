"""Create, rotate and retire the keys that sign access and ID tokens; the key of refresh tokens.

Each process caches the key set for at most MAX_AGE_SECONDS. So a key that is revoked in an
emergency is invalid in every process a second later, for one small query a second. An unknown
`kid` reloads the key set at once, but at most once a second, whatever clients send.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actors import SYSTEM, Actor
from api.models import SigningKey
from api.tokens import keyset
from api.tokens.algorithms import used_algorithms
from api.tokens.keyset import (
    CLOCK_SKEW,
    HS256,
    KeyPair,
    KeySet,
    KeySetEntry,
    PrivateKey,
    Signer,
)
from audit import audit_log
from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.locks import AUDIT, acquire_lock

logger = logging.getLogger("gatehouse.keys")
MAX_AGE_SECONDS = 1.0
KEY_PURPOSE = b"gatehouse refresh tokens v1"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a rotation: the key that signs from `active_from`, and those it replaces."""

    kid: str
    active_from: datetime
    replaced: tuple[str, ...]


class KeySetCache:
    """The key set as this process last read it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key_set = KeySet()
        self.forget()

    def forget(self) -> None:
        """Reload on the next access. A reload that is already running does not count.

        The old key set stays, so that a concurrent reader without the lock never gets an empty one.
        """
        with self._lock:
            self._read_at = self._searched_at = -MAX_AGE_SECONDS

    def get(self) -> KeySet:
        """Return the key set, at most MAX_AGE_SECONDS old."""
        if time.monotonic() - self._read_at >= MAX_AGE_SECONDS:
            with self._lock:
                if time.monotonic() - self._read_at >= MAX_AGE_SECONDS:
                    self._read()
        return self._key_set

    def get_with(self, kid: str) -> KeySet:
        """Return the key set; reloads it, at most once a second, if `kid` is not in it."""
        key_set = self.get()
        if key_set.has(kid) or time.monotonic() - self._searched_at < MAX_AGE_SECONDS:
            return key_set
        with self._lock:
            if time.monotonic() - self._searched_at >= MAX_AGE_SECONDS:
                self._searched_at = time.monotonic()
                self._read()
        return self._key_set

    def _read(self) -> None:
        started_at = time.monotonic()  # before the query, whose result may be that old
        self._key_set = read_key_set()
        self._read_at = started_at


key_set_cache = KeySetCache()


class AccessKeys:
    """The keys of access tokens: the key set, or only JWT_SECRET if set (ASVS 9.1.2)."""

    def signer(self, algorithm: str = "") -> Signer:
        """Return the key that signs now; creates the first one. algorithm: "": JWT_ALGORITHM."""
        if settings.JWT_SECRET:
            return Signer("", HS256, settings.JWT_SECRET.encode())
        wanted = algorithm or settings.JWT_ALGORITHM
        key = _signer(key_set_cache.get(), wanted) or _make_signer(wanted)
        try:
            private = _decrypted(key.kid, key.sealed_private)
        except DecryptionError:
            logger.warning(
                "a signing key cannot be decrypted and is replaced", extra={"kid": key.kid}
            )
            key = _make_signer(wanted, unreadable=key.kid)
            private = _decrypted(key.kid, key.sealed_private)
        return Signer(key.kid, key.algorithm, private)

    def verifier(self, algorithm: str, kid: str) -> Any | None:
        if settings.JWT_SECRET:
            return settings.JWT_SECRET.encode() if algorithm == HS256 else None
        if algorithm not in keyset.MEMBERS:
            return None
        found = key_set_cache.get_with(kid).verifier(kid, algorithm, timezone.now())
        return found.public if found else None


class RefreshKeys:
    """The key of refresh tokens; see refresh_secret()."""

    def signer(self) -> Signer:
        return Signer("", HS256, refresh_secret())

    def verifier(self, algorithm: str, _kid: str) -> bytes | None:
        return refresh_secret() if algorithm == HS256 else None


def refresh_secret() -> bytes:
    """Return JWT_REFRESH_SECRET, or a key derived from ENCRYPTION_KEY.

    Never from SECRET_KEY, which signs values that browsers can read.
    """
    if settings.JWT_REFRESH_SECRET:
        return bytes(settings.JWT_REFRESH_SECRET.encode())
    return _derived(settings.ENCRYPTION_KEY)


@lru_cache(maxsize=4)
def _derived(key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_PURPOSE).derive(key)


def read_key_set() -> KeySet:
    """Read all keys: those in use, and retired ones that are not purged yet."""
    rows = SigningKey.objects.order_by("active_from", "created_at")
    return KeySet(tuple(_parsed(row) for row in rows))


def published_keys() -> list[dict[str, str]]:
    """Return the public keys of the JWK set; empty with a shared secret."""
    if settings.JWT_SECRET:
        return []
    for algorithm in used_algorithms():
        if _signer(key_set_cache.get(), algorithm) is None:
            _make_signer(algorithm)  # so that a backend finds it before the first sign-in
    return key_set_cache.get().published(timezone.now())


def rotate(*, actor: Actor, algorithm: str = "") -> Rotation | None:
    """Publish a new key, which signs after JWT_KEY_PUBLISH_AHEAD; None if one is pending.

    algorithm: "" for JWT_ALGORITHM.
    """
    new = keyset.make_key(algorithm or settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        if key_set.pending(new.algorithm, now):
            return None
        signer = _signer(key_set, new.algorithm)
        starts = now + settings.JWT_KEY_PUBLISH_AHEAD if signer else now
        rotation = _install(key_set, new, starts, ends=starts + _max_trust_after_signing())
        _record("rotate", actor, rotation)
    return _forget_cache(rotation)


def rotate_now(*, actor: Actor, algorithm: str = "") -> Rotation:
    """Activate the pending key, or a new one, at once. Older keys retire as usual.

    algorithm: "" for JWT_ALGORITHM.
    """
    new = keyset.make_key(algorithm or settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        rotation = _install_at_once(key_set, new, now)
        _record("rotate", actor, rotation)
    return _forget_cache(rotation)


def replace_all(*, actor: Actor) -> Rotation:
    """Activate a new key at once and stop trusting all others. For a leaked key.

    Pending keys and those of other algorithms are dropped too, because they were stored beside it;
    new ones of other algorithms are made when they are needed. Refresh tokens are signed
    with another secret and stay valid, so programs get new access tokens automatically.
    """
    new = keyset.make_key(settings.JWT_ALGORITHM)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        rotation = _install(key_set, new, now, ends=now, is_leak=True)
        _record("replace-all", actor, rotation)
    return _forget_cache(rotation)


def rotate_when_due() -> list[Rotation]:
    """Worker job: publish new keys so that they replace the old ones at JWT_KEY_MAX_AGE."""
    if settings.JWT_SECRET:
        return []
    return [found for name in used_algorithms() if (found := _rotate_when_due(name)) is not None]


def _rotate_when_due(algorithm: str) -> Rotation | None:
    if not _is_due(key_set_cache.get(), algorithm):
        return None
    new = keyset.make_key(algorithm)
    with transaction.atomic():
        key_set = _lock_key_set()
        if not _is_due(key_set, algorithm):
            return None
        starts = timezone.now() + settings.JWT_KEY_PUBLISH_AHEAD
        rotation = _install(key_set, new, starts, ends=starts + _max_trust_after_signing())
        _record("rotate", SYSTEM, rotation)
    return _forget_cache(rotation)


def purge_keys(before: datetime) -> int:
    """Delete keys that were retired before `before`; returns how many."""
    return SigningKey.objects.filter(retires_at__lt=before).delete()[0]


def _signer(key_set: KeySet, algorithm: str) -> KeySetEntry | None:
    return key_set.signer(algorithm, timezone.now(), settings.SESSION_EXPIRY)


def _make_signer(algorithm: str, unreadable: str = "") -> KeySetEntry:
    """Create and return a signing key; concurrent callers get the same one.

    Needed on a new instance, after a change of JWT_ALGORITHM, and if ENCRYPTION_KEY cannot decrypt
    the key `unreadable`.
    """
    new = keyset.make_key(algorithm)
    now = timezone.now()
    with transaction.atomic():
        key_set = _lock_key_set()
        found = _signer(key_set, algorithm)
        if found is None:
            _record("create", SYSTEM, _install_at_once(key_set, new, now))
            found = _signer(read_key_set(), algorithm)
        elif found.kid == unreadable:
            _record(
                "create", SYSTEM, _install(key_set, new, now, ends=now + _max_trust_after_signing())
            )
            found = _signer(read_key_set(), algorithm)
    key_set_cache.forget()
    if found is None:
        raise RuntimeError("no signing key after creating one")
    return found


def _is_due(key_set: KeySet, algorithm: str) -> bool:
    now = timezone.now()
    if key_set.pending(algorithm, now):
        return False
    signer = _signer(key_set, algorithm)
    if signer is None:
        return False  # the first key is created on demand
    age_at_change = now + settings.JWT_KEY_PUBLISH_AHEAD - signer.active_from
    return bool(age_at_change >= settings.JWT_KEY_MAX_AGE)


def _lock_key_set() -> KeySet:
    """Lock the key set until the end of the transaction, and return it.

    Every change writes an audit row, so the lock of the audit log serves both.
    """
    acquire_lock(AUDIT)
    return read_key_set()


def _install_at_once(key_set: KeySet, new: KeyPair, now: datetime) -> Rotation:
    """Activate the pending key of the algorithm, or else `new`, from `now`."""
    pending = key_set.pending(new.algorithm, now)
    ends = now + _max_trust_after_signing()
    if pending is None:
        return _install(key_set, new, now, ends=ends)
    SigningKey.objects.filter(pk=pending.kid).update(active_from=now, retires_at=None)
    replaced = _retire(_others_of(key_set, pending.algorithm, but=pending.kid), ends)
    return Rotation(pending.kid, now, replaced)


def _install(
    key_set: KeySet, new: KeyPair, starts: datetime, *, ends: datetime, is_leak: bool = False
) -> Rotation:
    """Save `new`, which signs from `starts`; keys it replaces are trusted until `ends` at most.

    is_leak: it replaces those of other algorithms, too.
    """
    SigningKey.objects.create(
        kid=new.kid,
        algorithm=new.algorithm,
        public_jwk=new.public_jwk,
        sealed_private=encrypt(new.pem, _associated_data(new.kid)),
        created_at=timezone.now(),
        active_from=starts,
    )
    others = key_set.keys if is_leak else _others_of(key_set, new.algorithm, but=new.kid)
    return Rotation(new.kid, starts, _retire(others, ends))


def _others_of(key_set: KeySet, algorithm: str, *, but: str) -> list[KeySetEntry]:
    """The keys of this algorithm, and of those that are not in use any more."""
    kept = {*used_algorithms()} - {algorithm}
    return [key for key in key_set.keys if key.kid != but and key.algorithm not in kept]


def _retire(keys: Iterable[KeySetEntry], ends: datetime) -> tuple[str, ...]:
    """Retire these keys at `ends`, unless they retire earlier; returns their ids."""
    names = tuple(key.kid for key in keys if key.is_trusted(ends))
    SigningKey.objects.filter(pk__in=names).update(retires_at=ends)
    return names


def _max_trust_after_signing() -> timedelta:
    """Return how long after signing a token may be accepted, on any node."""
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


def _forget_cache(rotation: Rotation) -> Rotation:
    """Drop the cached key set, which is older than the rotation; returns it."""
    key_set_cache.forget()
    return rotation


@lru_cache(maxsize=64)
def _public(kid: str, members: tuple[tuple[str, str], ...]) -> Any:
    """Parse a public key. Cached by `kid`, which is the hash of `members`."""
    return keyset.public_key(dict(members))


@lru_cache(maxsize=16)
def _decrypted(kid: str, encrypted: str) -> PrivateKey:
    """Decrypt a private key. Raises DecryptionError after a change of ENCRYPTION_KEY."""
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
