"""Parses JWK sets into public keys, each for one kind of signature. Pure."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from core.lazy import LazyModule

if TYPE_CHECKING:
    import jwt
else:
    jwt = LazyModule("jwt")

MIN_RSA_BITS = 2048
MAX_KEYS = 100
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """kid, algorithm: "" if the provider does not state them."""

    kid: str
    algorithm: str
    key: Any = field(repr=False)

    def can_verify(self, algorithm: str) -> bool:
        """May it verify a signature of this algorithm?"""
        return self.algorithm in ("", algorithm) and can_verify(self.key, algorithm)


def can_verify(key: Any, algorithm: str) -> bool:
    """Has `key` the type, curve and size that `algorithm` (RFC 7518) requires?"""
    match algorithm[:2]:
        case "RS" | "PS":
            return isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
        case "ES":
            is_curve = isinstance(key, ec.EllipticCurvePublicKey)
            return is_curve and key.curve.name == CURVES.get(algorithm)
        case "Ed":
            return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    return False


def keys_in(document: dict[str, Any]) -> tuple[PublicKey, ...] | None:
    """The public signature keys in a JWK set; None if the document is no JWK set.

    Other entries are skipped.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        return None
    found = (_key(entry) for entry in entries[:MAX_KEYS] if isinstance(entry, dict))
    return tuple(key for key in found if key is not None)


def _key(entry: dict[str, Any]) -> PublicKey | None:
    is_for_signatures = entry.get("use", "sig") == "sig"
    is_public = entry.get("kty") in ("RSA", "EC", "OKP") and "d" not in entry
    if not (is_for_signatures and is_public):
        return None
    kid, algorithm = entry.get("kid", ""), entry.get("alg", "")
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        return None
    bare = {name: value for name, value in entry.items() if name not in ("alg", "use", "key_ops")}
    try:
        key = jwt.PyJWK(bare, algorithm=_usual_algorithm(entry)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(kid, algorithm, key)


def _usual_algorithm(entry: dict[str, Any]) -> str:
    """An algorithm to parse this type of key with; can_verify() decides what it may verify."""
    curve = {"P-384": "ES384", "P-521": "ES512"}.get(str(entry.get("crv")), "ES256")
    return {"RSA": "RS256", "EC": curve}.get(entry["kty"], "EdDSA")
