"""Anchors: signed heads of the hash chain, kept where the database's administrators cannot write.

Whoever can write the whole database can compute a new chain, which is whole in itself. It differs
from the anchors that were written before. An anchor is a JWS in compact serialization (RFC 7515)
with EdDSA (RFC 8037). Its key is derived from ENCRYPTION_KEY, so it is not in the database, and
who has only the database can neither sign anchors nor replace the key that verifies them.
"""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils import timezone

from audit.audit_log import GENESIS
from core.errors import GatehouseError
from core.http import POST_TIMEOUT_SECONDS, FetchError, send
from core.locks import AUDIT
from core.models import NamedLock

KEY_PURPOSE = b"gatehouse audit anchors v1"
ALGORITHM, TYP = "EdDSA", "audit-anchor+jwt"
MEDIA_TYPE = "application/jose"
MAX_LENGTH = 4096


class AnchorError(GatehouseError):
    """An anchor cannot be written, or is not one of this instance; the text says why."""


class Anchor(NamedTuple):
    """The head of the chain at a time: the number and the hash of the newest event."""

    seq: int
    hash: str
    at: datetime


def current_anchor() -> Anchor:
    """The head of the chain now; seq is 0 while the log is empty."""
    head = NamedLock.objects.get(pk=AUDIT)
    return Anchor(head.seq, head.hash or GENESIS, timezone.now())


def sign(anchor: Anchor) -> str:
    """The anchor as a compact JWS."""
    claims = {
        "iss": settings.PUBLIC_URL,
        "iat": int(anchor.at.timestamp()),
        "seq": anchor.seq,
        "hash": anchor.hash,
    }
    headers = {"typ": TYP, "kid": public_jwk()["kid"]}
    return jwt.encode(claims, _private_key(settings.ENCRYPTION_KEY), ALGORITHM, headers)


def public_jwk() -> dict[str, str]:
    """The key that verifies anchors, as a JWK; kid is its thumbprint (RFC 7638)."""
    raw = _private_key(settings.ENCRYPTION_KEY).public_key().public_bytes_raw()
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return {**members, "kid": _base64url(hashlib.sha256(canonical.encode()).digest())}


def read_key(path: Path) -> Ed25519PublicKey:
    """The key in a file with a JWK of `anchoraudit --public-key`. Raises AnchorError."""
    try:
        key = jwt.PyJWK.from_json(path.read_text(encoding="utf-8"), ALGORITHM).key
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}.") from None
    except (jwt.PyJWTError, ValueError, AttributeError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise AnchorError(f"{path} holds no public key of `anchoraudit --public-key`.")
    return key


def read_anchors(path: Path, key: Ed25519PublicKey | None = None) -> dict[int, str]:
    """The anchored hashes by number, of a file with an anchor a line.

    key: None for that of this instance. Raises AnchorError for a line that is no anchor signed by
    it, for two anchors that contradict each other, and if there is none.
    """
    verifier = key or _private_key(settings.ENCRYPTION_KEY).public_key()
    found: dict[int, str] = {}
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                anchor = _verified(line.strip(), verifier)
                if anchor is None:
                    raise AnchorError(
                        f"{path}, line {number}: no anchor that this instance has signed. If "
                        "ENCRYPTION_KEY has changed since, name the earlier key by --key."
                    )
                if found.setdefault(anchor.seq, anchor.hash) != anchor.hash:
                    raise AnchorError(
                        f"{path}, line {number}: event {anchor.seq} was anchored before with "
                        "another hash. The log was rewritten or restored between these anchors."
                    )
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}.") from None
    if not found:
        raise AnchorError(f"{path} holds no anchor.")
    return found


def newest_in_file(path: Path) -> Anchor | None:
    """The last anchor of the file; None if it cannot be read, or this instance did not sign it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_LENGTH))
            lines = file.read().split()
    except OSError:
        return None
    verifier = _private_key(settings.ENCRYPTION_KEY).public_key()
    return _verified(lines[-1].decode("ascii", "replace"), verifier) if lines else None


def write(anchor: Anchor) -> None:
    """Sign the anchor and write it to settings.AUDIT_ANCHOR. Raises AnchorError."""
    target = settings.AUDIT_ANCHOR
    text = sign(anchor)
    if target.startswith(("https:", "http:")):
        _post(target, text)
    else:
        _append(Path(target), text)


def _post(url: str, text: str) -> None:
    headers = {"Content-Type": MEDIA_TYPE}
    try:
        answer = send(
            "POST", url, headers=headers, data=text.encode(), timeout=POST_TIMEOUT_SECONDS
        )
    except FetchError as error:
        # The text of the error itself repeats the URL.
        cause = error.__cause__ or error
        reason = getattr(cause, "reason", cause)
        raise AnchorError(f"The receiver of AUDIT_ANCHOR does not answer: {reason}.") from error
    if not 200 <= answer.status < 300:
        raise AnchorError(f"The receiver of AUDIT_ANCHOR answers {answer.status}.")


def _append(path: Path, text: str) -> None:
    """One write to the end, which also works where the file may only be appended to."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{text}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AnchorError(f"AUDIT_ANCHOR={path}: {error.strerror}.") from error


def _verified(text: str, key: Ed25519PublicKey) -> Anchor | None:
    options: Any = {"require": ["iat", "seq", "hash"], "verify_iat": False, "verify_aud": False}
    try:
        if len(text) > MAX_LENGTH or jwt.get_unverified_header(text).get("typ") != TYP:
            return None
        claims = jwt.decode(text, key, algorithms=[ALGORITHM], options=options)
        at = datetime.fromtimestamp(claims["iat"], UTC)
        return Anchor(int(claims["seq"]), str(claims["hash"]), at)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None


@lru_cache(maxsize=4)
def _private_key(secret: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_PURPOSE).derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
