"""The key set at a moment: which key signs, which are trusted, which are published. Pure.

A key is published before it signs (`active_from`) and trusted until its last token has expired
(`retires_at`). Private keys stay encrypted here; signing_keys.py decrypts the one that signs.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
# The members that RFC 7638 and RFC 8037 hash: those of the public key.
MEMBERS = {
    "ES256": ("crv", "kty", "x", "y"),
    "RS256": ("e", "kty", "n"),
    "EdDSA": ("crv", "kty", "x"),
}
HS256 = "HS256"
RSA_BITS, RSA_EXPONENT = 3072, 65537
# Allowed difference between the clocks of several nodes.
CLOCK_SKEW = timedelta(seconds=30)


class Signer(NamedTuple):
    """The key that signs. kid is "" for a shared secret."""

    kid: str
    algorithm: str
    key: Any


class Keys(Protocol):
    """The source of the keys of one kind of token."""

    def signer(self) -> Signer: ...

    def verifier(self, algorithm: str, kid: str) -> Any | None:
        """Return the trusted key for this header, or None."""
        ...


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new key pair. `pem` is the unencrypted private key."""

    kid: str
    algorithm: str
    public_jwk: dict[str, str]
    pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySetEntry:
    """A key with its parsed public key."""

    kid: str
    algorithm: str
    public_jwk: dict[str, str]
    public: Any
    sealed_private: str = field(repr=False)
    active_from: datetime
    retires_at: datetime | None

    def is_trusted(self, now: datetime) -> bool:
        """Whether the key is published and its signatures are accepted."""
        return self.retires_at is None or now < self.retires_at


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys, oldest first."""

    keys: tuple[KeySetEntry, ...] = ()

    def signer(self, algorithm: str, now: datetime, lifetime: timedelta) -> KeySetEntry | None:
        """Return the newest active key that stays trusted for the lifetime of a new token."""
        for key in reversed(self.keys):
            is_ours = key.algorithm == algorithm and key.active_from <= now
            if is_ours and key.is_trusted(now + lifetime):
                return key
        return None

    def pending(self, algorithm: str, now: datetime) -> KeySetEntry | None:
        """Return the newest key that is published but does not sign yet."""
        for key in reversed(self.keys):
            if key.algorithm == algorithm and key.active_from > now and key.is_trusted(now):
                return key
        return None

    def verifier(self, kid: str, algorithm: str, now: datetime) -> KeySetEntry | None:
        """Return the key with that id, if it is trusted and of that algorithm."""
        for key in self.keys:
            if key.kid == kid and key.algorithm == algorithm and key.is_trusted(now):
                return key
        return None

    def published(self, now: datetime) -> list[dict[str, str]]:
        """Return the public keys for the JWK set (RFC 7517)."""
        return [key.public_jwk for key in self.keys if key.is_trusted(now)]

    def has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self.keys)


def make_key(algorithm: str) -> KeyPair:
    """Generate a key pair for ES256, RS256 (3072 bits, slow) or EdDSA (Ed25519)."""
    private: PrivateKey
    match algorithm:
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
            members = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case "RS256":
            private = rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)
            members = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
            members = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case _:
            raise ValueError(f"unsupported algorithm {algorithm!r}")
    public = {name: str(members[name]) for name in MEMBERS[algorithm]}
    kid = thumbprint(public)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(kid, algorithm, {**public, "kid": kid, "alg": algorithm, "use": "sig"}, pem)


def thumbprint(public: dict[str, str]) -> str:
    """Return the thumbprint of RFC 7638: SHA-256 of the ordered members, base64url."""
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def public_key(jwk: dict[str, str]) -> Any:
    """Return the public key of a JWK."""
    return PyJWK.from_dict(jwk).key


def private_key(pem: str) -> PrivateKey:
    """Parse a private key."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, PrivateKey):
        raise TypeError("unsupported kind of signing key")
    return key
