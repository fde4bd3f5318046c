"""Sign-ins that have begun here and wait for the provider's answer: bound to this browser.

They travel in an encrypted cookie, so that a click on a button writes no row. One secret of 32
bytes stands behind state, nonce and PKCE verifier. A marker in the database makes each work once.
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

from core.encryption import DecryptionError, decrypt, encrypt
from federation.oidc.errors import SignInFailed
from federation.providers import Provider

LIFE_SECONDS = 600
# Tabs of one browser that may wait at once; the oldest is forgotten.
MAX_PENDING = 4
# A longer address travels in cookies of its own, of the newest sign-in alone: browsers keep 4 kB in
# each. Only the provider's answer is sent with them.
MAX_NEXT_LENGTH = 500
PIECE, MAX_PIECES = 3500, 4
NEXT_ASSOCIATED_DATA = "cookie.sign_in_next"
ASSOCIATED_DATA = "cookie.sign_in"
# Key of the session: where the last answers led, by the digests of their states.
DESTINATIONS = "sign_in_answers"
MAX_DESTINATIONS = 4
SIGN_IN, CONNECT = "login", "connect"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One sign-in under way. process: SIGN_IN or CONNECT; user_id: who connects, else "".

    expires: seconds since 1970.
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
    """An answer that this browser does not wait for: foreign, too late, or sent once more."""

    def __init__(self, detail: str) -> None:
        super().__init__("state_lost", detail)


def cookie_name() -> str:
    return f"{settings.COOKIE_PREFIX}gatehouse_sign_in{settings.COOKIE_SUFFIX}"


def make_authorization_request(
    request: HttpRequest, provider: Provider, *, process: str, next_url: str
) -> AuthorizationRequest:
    """A new sign-in by `provider`; remember() keeps it in the browser."""
    user = request.user
    return AuthorizationRequest(
        secret=secrets.token_urlsafe(32),
        provider=provider.id,
        process=process,
        next_url=next_url,
        user_id=str(user.pk) if process == CONNECT else "",
        expires=int(timezone.now().timestamp()) + LIFE_SECONDS,
    )


def remember(
    request: HttpRequest, response: HttpResponse, pending: AuthorizationRequest, provider: Provider
) -> None:
    """Set the cookie with `pending` beside the others that still wait."""
    _write(response, [*_read(request), pending][-MAX_PENDING:])
    if len(pending.next_url) > MAX_NEXT_LENGTH:
        _write_next_url(response, pending, provider)


def forget(request: HttpRequest, response: HttpResponse, state: str) -> None:
    """Take the sign-in of `state` out of the cookie."""
    found = _read(request)
    for name in filter(request.COOKIES.__contains__, map(_piece_name, range(MAX_PIECES))):
        response.delete_cookie(name, path=request.path, samesite="Lax")
    if cookie_name() in request.COOKIES:
        _write(response, [pending for pending in found if pending.state != state])


def consume_state(request: HttpRequest, provider: Provider, state: str) -> AuthorizationRequest:
    """The sign-in of `state`, which works once. Raises NotBegunHere, SignInFailed.

    Whatever is wrong with it, the answer is the same (A091).
    """
    for pending in _read(request):
        if hmac.compare_digest(pending.state.encode(), state.encode()):
            if pending.provider != provider.id:
                raise SignInFailed("state_lost", "state of another provider")
            if pending.user_id and pending.user_id != str(request.user.pk):
                raise SignInFailed("state_lost", "begun by another person")
            if not _consume(pending):
                raise UnknownState("state used before")
            return pending if pending.next_url else _restore_next_url(request, pending)
    raise UnknownState("unknown state")


def remember_destination(request: HttpRequest, pending: AuthorizationRequest) -> None:
    """Let the session know where `pending` led: browsers send an answer again by themselves."""
    kept = request.session.get(DESTINATIONS, {})
    kept[_name(pending.state)] = pending.next_url
    request.session[DESTINATIONS] = dict(list(kept.items())[-MAX_DESTINATIONS:])


def destination_of(request: HttpRequest, state: str) -> str:
    """Where the sign-in of `state` led the person of this session; "" when it is not known."""
    return str(request.session.get(DESTINATIONS, {}).get(_name(state), ""))


def _name(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _consume(pending: AuthorizationRequest) -> bool:
    """True for the first caller alone, over all server processes."""
    store: Any = caches["counters"]
    return bool(store.add_mark(f"sign-in-state:{_name(pending.state)}", 2 * LIFE_SECONDS))


def _read(request: HttpRequest) -> list[AuthorizationRequest]:
    """What still waits in this browser, oldest first; nothing for a cookie that is not ours."""
    encrypted = request.COOKIES.get(cookie_name(), "")
    try:
        rows: list[list[Any]] = json.loads(decrypt(encrypted, ASSOCIATED_DATA)) if encrypted else []
    except (DecryptionError, ValueError):
        return []
    now = timezone.now().timestamp()
    found = [AuthorizationRequest(*row) for row in rows]
    return [pending for pending in found if pending.expires > now]


def _write(response: HttpResponse, waiting: list[AuthorizationRequest]) -> None:
    """Lax, because the answer comes by a top-level GET from the provider's site."""
    if not waiting:
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
        for each in waiting
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
    # __Host- would send it to every path.
    prefix = "__Secure-" if settings.IS_HTTPS else ""
    return f"{prefix}gatehouse_next_{number}{settings.COOKIE_SUFFIX}"


def _write_next_url(
    response: HttpResponse, pending: AuthorizationRequest, provider: Provider
) -> None:
    """Sealed for this sign-in, in pieces, for the path of the provider's answer."""
    encrypted = encrypt(pending.next_url, f"{NEXT_ASSOCIATED_DATA}:{_name(pending.state)}")
    for number in range(MAX_PIECES):
        # What an earlier sign-in has left is overwritten.
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
    """With the long address that was kept beside it, if any."""
    encrypted = "".join(
        request.COOKIES.get(_piece_name(number), "") for number in range(MAX_PIECES)
    )
    try:
        next_url = decrypt(encrypted, f"{NEXT_ASSOCIATED_DATA}:{_name(pending.state)}")
    except DecryptionError:
        return pending
    return replace(pending, next_url=next_url)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
