"""The keys of a moment: who signs, whose signatures are believed, what is published. Pure.

A key is published before it signs (`active_from`) and believed until its last token has ended
(`retires_at`). The private halves stay sealed here; signing_keys.py opens the one that signs.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

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
# The members that RFC 7638 (and RFC 8037) hash, which are the public key itself.
MEMBERS = {
    "ES256": ("crv", "kty", "x", "y"),
    "RS256": ("e", "kty", "n"),
    "EdDSA": ("crv", "kty", "x"),
}
RSA_BITS, RSA_EXPONENT = 3072, 65537


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair just made: `pem` is the private half in clear."""

    kid: str
    algorithm: str
    public_jwk: dict[str, str]
    pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySetEntry:
    """A key whose public half is ready for use."""

    kid: str
    algorithm: str
    public_jwk: dict[str, str]
    public: Any
    sealed_private: str = field(repr=False)
    active_from: datetime
    retires_at: datetime | None

    def is_trusted(self, now: datetime) -> bool:
        """Is it published, and are its signatures good?"""
        return self.retires_at is None or now < self.retires_at


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys that were read together, oldest first."""

    keys: tuple[KeySetEntry, ...] = ()

    def signer(self, algorithm: str, now: datetime, lifetime: timedelta) -> KeySetEntry | None:
        """The newest key that signs now and is believed as long as a token lives from now on."""
        for key in reversed(self.keys):
            is_ours = key.algorithm == algorithm and key.active_from <= now
            if is_ours and key.is_trusted(now + lifetime):
                return key
        return None

    def pending(self, algorithm: str, now: datetime) -> KeySetEntry | None:
        """The newest key that is published and does not sign yet."""
        for key in reversed(self.keys):
            if key.algorithm == algorithm and key.active_from > now and key.is_trusted(now):
                return key
        return None

    def verifier(self, kid: str, algorithm: str, now: datetime) -> KeySetEntry | None:
        """The key of that name, if it is believed and made for that algorithm."""
        for key in self.keys:
            if key.kid == kid and key.algorithm == algorithm and key.is_trusted(now):
                return key
        return None

    def published(self, now: datetime) -> list[dict[str, str]]:
        """The key set (RFC 7517) that backends read: public members alone."""
        return [key.public_jwk for key in self.keys if key.is_trusted(now)]

    def has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self.keys)


def make_key(algorithm: str) -> KeyPair:
    """A new pair for ES256, RS256 (3072 bits, takes a moment) or EdDSA (Ed25519)."""
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
            raise ValueError(f"no keys are made for {algorithm!r}")
    public = {name: str(members[name]) for name in MEMBERS[algorithm]}
    kid = thumbprint(public)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(kid, algorithm, {**public, "kid": kid, "alg": algorithm, "use": "sig"}, pem)


def thumbprint(public: dict[str, str]) -> str:
    """RFC 7638: SHA-256 over the required members in order, in base64url."""
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def public_key(jwk: dict[str, str]) -> Any:
    """The key that verifies, from its members in the key set."""
    return PyJWK.from_dict(jwk).key


def private_key(pem: str) -> PrivateKey:
    """The key that signs."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, PrivateKey):
        raise TypeError("not a key that signs tokens here")
    return key
