"""From a provider's key set to keys that check one kind of signature each. Pure."""

from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

MIN_RSA_BITS = 2048
MAX_KEYS = 100
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """kid, algorithm: "" when the provider does not say."""

    kid: str
    algorithm: str
    key: Any = field(repr=False)

    def can_verify(self, algorithm: str) -> bool:
        """May it check a signature of this algorithm?"""
        return self.algorithm in ("", algorithm) and can_verify(self.key, algorithm)


def can_verify(key: Any, algorithm: str) -> bool:
    """Is `key` of the kind, curve and size that `algorithm` (a name of RFC 7518) takes?"""
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
    """The public keys for signatures in a JWK set; None when the document is none.

    Entries of other kinds are passed over.
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
    """An algorithm that reads this kind of key; which ones it may check is asked later."""
    curve = {"P-384": "ES384", "P-521": "ES512"}.get(str(entry.get("crv")), "ES256")
    return {"RSA": "RS256", "EC": curve}.get(entry["kty"], "EdDSA")
