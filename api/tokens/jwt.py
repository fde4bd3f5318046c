"""Our signed tokens, as token classes and token backends of djangorestframework-simplejwt.

Access tokens (`typ: at+jwt`, RFC 9068) can also be verified by backends with our public keys.
Refresh tokens (`typ: rt+jwt`) are opaque to programs. `AccessToken.read(text)` verifies a token;
`AccessToken.issue(claims)` makes one, which str() signs.
"""

import uuid
from datetime import timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Self

from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.tokens import Token

from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.tokens.jws import ParsedToken, has_shape, parse, sign, unverified_claims
from api.tokens.keyset import CLOCK_SKEW, HS256, Keys
from api.tokens.signing_keys import AccessKeys, RefreshKeys

MAX_BYTES = 8192
# The only headers that our tokens have. Tokens with `jku`, `jwk`, `x5u` or `x5c`, which name other
# keys, or with `crit` are refused (ASVS 9.1.3).
HEADER = frozenset({"alg", "kid", "typ"})
# The last second of the year 9999.
LAST_TIME = 253_402_300_799
REFRESH_PATH = "/api/v1/auth/token/refresh"
# RFC 9068 requires the claim; users sign in at Gatehouse itself.
CLIENT_ID = "gatehouse"


class KeySetBackend(TokenBackend):
    """Signs and verifies tokens of one type, with the algorithms and keys of that type only.

    The parent has one key and one algorithm, and neither `kid` nor `typ`.
    """

    def __init__(self, typ: str, keys: Keys) -> None:
        super().__init__(HS256)  # not used: each key has its algorithm
        self.typ, self.keys = typ, keys

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token."""
        signer = self.keys.signer()
        return sign(payload, self.typ, signer.kid, signer.key, signer.algorithm)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token with a valid signature; Token.verify() checks the claims.

        Raises AccessTokenInvalid. `verify` is ignored: unverified claims are never returned.
        """
        parsed = parse(token, MAX_BYTES)
        algorithm, key = self._find_key(parsed.header)
        if not _is_signed_by(parsed, key, algorithm):
            raise AccessTokenInvalid
        return parsed.read_claims()

    def _find_key(self, header: dict[str, Any]) -> tuple[str, Any]:
        """Return the algorithm and key of a header. There is no key for `none`.

        Raises AccessTokenInvalid.
        """
        algorithm, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ")
        if not (isinstance(algorithm, str) and isinstance(kid, str) and isinstance(typ, str)):
            raise AccessTokenInvalid
        if not header.keys() <= HEADER or _media_type(typ) != self.typ:
            raise AccessTokenInvalid
        key = self.keys.verifier(algorithm, kid)
        if key is None:
            raise AccessTokenInvalid
        return algorithm, key


class SignedToken(Token):
    """What our kinds of tokens have in common."""

    backend: ClassVar[KeySetBackend]
    lifetime = timedelta(0)  # required by the parent; issue() gets `exp`

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the verified token. Raises AccessTokenInvalid, AccessTokenExpired."""
        return cls(text)  # type: ignore[arg-type]  # simplejwt takes a text here

    @classmethod
    def issue(cls, claims: dict[str, Any]) -> Self:
        """Return a new token with exactly these claims.

        The parent's constructor would first make claims of its own, only to have them replaced.
        """
        token = cls.__new__(cls)
        token.token, token.current_time, token.payload = None, timezone.now(), claims
        return token

    def get_token_backend(self) -> KeySetBackend:
        return self.backend

    @classmethod
    def audience(cls) -> str:
        """The audience of this kind of token."""
        raise NotImplementedError

    def verify(self) -> None:
        """Check the claims (RFC 9068, section 4). Raises AccessTokenInvalid, AccessTokenExpired."""
        issued_at, expires_at = self.payload.get("iat"), self.payload.get("exp")
        now = timezone.now().timestamp()
        latest = now + CLOCK_SKEW.total_seconds()
        if not _is_time(issued_at) or not _is_time(expires_at) or issued_at > latest:  # type: ignore[operator]  # _is_time
            raise AccessTokenInvalid
        if self.payload.get("iss") != settings.PUBLIC_URL or not self._is_for_us():
            raise AccessTokenInvalid
        if not _is_time(self.payload.get("nbf", issued_at)) or not self.payload.get("jti"):
            raise AccessTokenInvalid
        if self.payload.get("nbf", 0) > latest:
            raise AccessTokenInvalid
        if expires_at <= now:  # type: ignore[operator]  # _is_time
            raise AccessTokenExpired

    def identifier(self, claim: str) -> uuid.UUID:
        """Return the UUID in a claim. Raises AccessTokenInvalid."""
        try:
            return uuid.UUID(self.payload[claim])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise AccessTokenInvalid from None

    def _is_for_us(self) -> bool:
        audience, ours = self.payload.get("aud"), self.audience()
        return ours in audience if isinstance(audience, list) else audience == ours


class AccessToken(SignedToken):
    """A short-lived token that authenticates requests."""

    token_type = "at+jwt"  # noqa: S105 - a media type
    backend = KeySetBackend(token_type, AccessKeys())

    @classmethod
    def audience(cls) -> str:
        return str(settings.JWT_AUDIENCE)


class RefreshToken(SignedToken):
    """A token that names a family and its generation; see TokenFamily."""

    token_type = "rt+jwt"  # noqa: S105 - a media type
    backend = KeySetBackend(token_type, RefreshKeys())

    @classmethod
    def audience(cls) -> str:
        return f"{settings.PUBLIC_URL}{REFRESH_PATH}"

    @property
    def generation(self) -> int:
        """Raises AccessTokenInvalid."""
        number = self.payload.get("gen")
        if type(number) is not int or number < 0:
            raise AccessTokenInvalid
        return number


# Digests of tokens whose signatures were right. A full set is emptied.
MAX_VERIFIED = 5_000
_verified: set[bytes] = set()


def _is_signed_by(parsed: ParsedToken, key: Any, algorithm: str) -> bool:
    """Whether the key signed the token. A right signature is right for ever, so it is remembered.

    Whether the key is still trusted is asked each time, before. `kid` is the thumbprint of the key
    (RFC 7638), so it stands for the key; a shared secret has none, and is as quick as the digest.
    """
    kid = parsed.header.get("kid")
    if not kid:
        return parsed.is_signed_by(key, algorithm)
    written = b"\n".join((kid.encode(), algorithm.encode(), parsed.signed, parsed.signature))
    digest = blake2b(written, digest_size=32).digest()
    if digest in _verified:
        return True
    if not parsed.is_signed_by(key, algorithm):
        return False
    if len(_verified) >= MAX_VERIFIED:
        _verified.clear()
    _verified.add(digest)
    return True


def looks_like_token(text: str) -> bool:
    """Whether `text` is three base64url parts of acceptable length."""
    return has_shape(text, MAX_BYTES)


def claims_our_issuer(text: str) -> bool:
    """Whether the token names us as its issuer. Verifies nothing."""
    return bool(unverified_claims(text, MAX_BYTES).get("iss") == settings.PUBLIC_URL)


def _media_type(typ: str) -> str:
    """Normalize `typ`: the prefix `application/` is optional (RFC 7515, section 4.1.9)."""
    return typ.lower().removeprefix("application/")


def _is_time(value: Any) -> bool:
    """Whether `value` is an integer Unix timestamp before the year 10000; bool is not."""
    return type(value) is int and 0 < value <= LAST_TIME
