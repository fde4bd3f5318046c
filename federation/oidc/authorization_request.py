"""Pending authorization requests, bound to the browser that started them.

They are kept in an encrypted cookie, so that a click on a button writes no row. State, nonce and
PKCE verifier are derived from one secret of 32 bytes. A marker in the counters makes each state
work once.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from core.crypto.encryption import DecryptionError, decrypt, encrypt
from federation.oidc.errors import SignInFailed
from federation.providers import Provider

LIFE_SECONDS = 600
# Pending requests of one browser (several tabs); the oldest is dropped.
MAX_PENDING = 4
# A longer `next` URL is kept in cookies of its own, for the newest request alone, because browsers
# limit each cookie to 4 kB. They are sent to the callback path only.
MAX_NEXT_LENGTH = 500
PIECE, MAX_PIECES = 3500, 4
NEXT_ASSOCIATED_DATA = "cookie.sign_in_next"
ASSOCIATED_DATA = "cookie.sign_in"
# Session key: digest of a state -> where its response led.
DESTINATIONS = "sign_in_answers"
MAX_DESTINATIONS = 4
SIGN_IN, CONNECT, TEST = "login", "connect", "test"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One pending request. process: SIGN_IN, CONNECT or TEST.

    user_id: who connects or tests, otherwise "".
    expires: Unix time in seconds.
    """

    secret: str = field(repr=False)
    provider: str
    process: str
    next_url: str
    user_id: str
    expires: int

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """PKCE's code_verifier (RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """PKCE's code_challenge by S256."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, purpose: str) -> str:
        key = self.secret.encode()
        return _base64url(hmac.digest(key, purpose.encode(), "sha256"))


class UnknownState(SignInFailed):
    """A response that this browser does not expect: forged, too late, or repeated."""

    def __init__(self, detail: str) -> None:
        super().__init__("state_lost", detail)


def cookie_name() -> str:
    return f"{settings.COOKIE_PREFIX}gatehouse_sign_in{settings.COOKIE_SUFFIX}"


def make_authorization_request(
    request: HttpRequest, provider: Provider, *, process: str, next_url: str
) -> AuthorizationRequest:
    """A new request to `provider`; remember() stores it in the browser."""
    user = request.user
    return AuthorizationRequest(
        secret=secrets.token_urlsafe(32),
        provider=provider.id,
        process=process,
        next_url=next_url,
        user_id="" if process == SIGN_IN else str(user.pk),
        expires=int(timezone.now().timestamp()) + LIFE_SECONDS,
    )


def remember(
    request: HttpRequest, response: HttpResponse, pending: AuthorizationRequest, provider: Provider
) -> None:
    """Add `pending` to the cookie of pending requests."""
    _write(response, [*_read(request), pending][-MAX_PENDING:])
    if len(pending.next_url) > MAX_NEXT_LENGTH:
        _write_next_url(response, pending, provider)


def forget(request: HttpRequest, response: HttpResponse, state: str) -> None:
    """Remove the request of `state` from the cookie."""
    found = _read(request)
    for name in filter(request.COOKIES.__contains__, map(_piece_name, range(MAX_PIECES))):
        response.delete_cookie(name, path=request.path, samesite="Lax")
    if cookie_name() in request.COOKIES:
        _write(response, [pending for pending in found if pending.state != state])


def consume_state(request: HttpRequest, provider: Provider, state: str) -> AuthorizationRequest:
    """The request of `state`, which works once. Raises UnknownState, SignInFailed.

    The user sees the same message for every cause.
    """
    for pending in _read(request):
        if hmac.compare_digest(pending.state.encode(), state.encode()):
            if pending.provider != provider.id:
                raise SignInFailed("state_lost", "state of another provider")
            if pending.user_id and pending.user_id != str(request.user.pk):
                raise SignInFailed("state_lost", "started by another user")
            if not _consume(pending):
                raise UnknownState("state used before")
            return pending if pending.next_url else _restore_next_url(request, pending)
    raise UnknownState("unknown state")


def remember_destination(request: HttpRequest, pending: AuthorizationRequest) -> None:
    """Remember in the session where `pending` led, because browsers repeat requests."""
    kept = request.session.get(DESTINATIONS, {})
    kept[_digest(pending.state)] = pending.next_url
    request.session[DESTINATIONS] = dict(list(kept.items())[-MAX_DESTINATIONS:])


def destination_of(request: HttpRequest, state: str) -> str:
    """Where the request of `state` led in this session; "" if unknown."""
    return str(request.session.get(DESTINATIONS, {}).get(_digest(state), ""))


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _consume(pending: AuthorizationRequest) -> bool:
    """True for the first caller only, across all server processes."""
    store: Any = caches["counters"]
    return bool(store.add_mark(f"sign-in-state:{_digest(pending.state)}", 2 * LIFE_SECONDS))


def _read(request: HttpRequest) -> list[AuthorizationRequest]:
    """The pending requests of this browser, oldest first; [] for an invalid cookie."""
    encrypted = request.COOKIES.get(cookie_name(), "")
    try:
        rows: list[list[Any]] = json.loads(decrypt(encrypted, ASSOCIATED_DATA)) if encrypted else []
    except (DecryptionError, ValueError):
        return []
    now = timezone.now().timestamp()
    found = [AuthorizationRequest(*row) for row in rows]
    return [pending for pending in found if pending.expires > now]


def _write(response: HttpResponse, requests: list[AuthorizationRequest]) -> None:
    """SameSite=Lax, because the response is a top-level GET from the provider's site."""
    if not requests:
        response.delete_cookie(cookie_name(), samesite="Lax")
        return
    rows = [
        [
            each.secret,
            each.provider,
            each.process,
            _short_next_url(each),
            each.user_id,
            each.expires,
        ]
        for each in requests
    ]
    response.set_cookie(
        cookie_name(),
        encrypt(json.dumps(rows), ASSOCIATED_DATA),
        max_age=LIFE_SECONDS,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )


def _short_next_url(pending: AuthorizationRequest) -> str:
    return pending.next_url if len(pending.next_url) <= MAX_NEXT_LENGTH else ""


def _piece_name(number: int) -> str:
    # __Host- requires the path /.
    prefix = "__Secure-" if settings.IS_HTTPS else ""
    return f"{prefix}gatehouse_next_{number}{settings.COOKIE_SUFFIX}"


def _write_next_url(
    response: HttpResponse, pending: AuthorizationRequest, provider: Provider
) -> None:
    """Store the `next` URL, encrypted for this request, in pieces, for the callback path."""
    encrypted = encrypt(pending.next_url, f"{NEXT_ASSOCIATED_DATA}:{_digest(pending.state)}")
    for number in range(MAX_PIECES):
        # Overwrites what an earlier request left.
        response.set_cookie(
            _piece_name(number),
            encrypted[number * PIECE : (number + 1) * PIECE],
            max_age=LIFE_SECONDS,
            path=urlsplit(f"{settings.PUBLIC_URL}{provider.callback_path}").path,
            secure=settings.IS_HTTPS,
            httponly=True,
            samesite="Lax",
        )


def _restore_next_url(request: HttpRequest, pending: AuthorizationRequest) -> AuthorizationRequest:
    """`pending` with the long `next` URL from its own cookies, if any."""
    encrypted = "".join(
        request.COOKIES.get(_piece_name(number), "") for number in range(MAX_PIECES)
    )
    try:
        next_url = decrypt(encrypted, f"{NEXT_ASSOCIATED_DATA}:{_digest(pending.state)}")
    except DecryptionError:
        return pending
    return replace(pending, next_url=next_url)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
