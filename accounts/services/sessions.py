"""Starting and ending sessions, each with an audit row."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user,
    logout,
)
from django.contrib.auth import login as django_login
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language

from accounts.actors import Actor
from accounts.models import BrowserSession, User
from accounts.services.ranks import require_rank_or_self
from accounts.sessions.resumption import keep_for_resumption
from accounts.sessions.store import DEVICE, SIGNED_IN_AT, SessionStore
from accounts.sign_in.methods import audit_name
from accounts.signals import access_changed, access_ending
from audit import audit_log
from core import sql
from core.errors import NotFound, OwnPasswordWrong, UserDeleted
from core.locks import lock_users
from core.web.request_context import get_request_context, note_revocation

BACKEND = "accounts.backends.PasswordBackend"
# Renews the session of the user's own browser; see renew(). A service that ends every session calls
# it in its transaction, so that the second request of a double click never finds the user signed
# out.
Renew = Callable[[], None]
# Session keys that a renewed session gets anew; all others are copied.
OWN_KEYS = frozenset({SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY, DEVICE})


def renew(request: HttpRequest, user: User) -> None:
    """Replace this browser's session after all sessions of the user have been ended.

    It is no new sign-in: it ends when the old session would have ended, and the time of the last
    authentication stays the same.
    """
    content = {name: value for name, value in request.session.items() if name not in OWN_KEYS}
    with transaction.atomic():
        sign_in(request, user, content=content)
        keep_for_resumption(request)


def sign_in(request: HttpRequest, user: User, *, content: dict[str, Any] | None = None) -> None:
    """Start a session for `user` in this browser; its row is written before this returns.

    The caller has asked the access policy. The session key is new (no fixation). The session, the
    time of the last sign-in and the audit row are committed together. content: see renew(). Raises
    UserDeleted when the account has been deleted meanwhile.
    """
    try:
        _write_sign_in(request, user, content or {})
    except UserDeleted:
        logout(request)
        raise


def _write_sign_in(request: HttpRequest, user: User, content: dict[str, Any]) -> None:
    records = get_authentication_records(request, user)
    methods = sorted({audit_name(record) for record in records})
    with transaction.atomic(savepoint=False):
        user.last_login = timezone.now()
        user.language = user.language or (get_language() or "").partition("-")[0]
        # First, because users are locked first. Waits for a concurrent deletion of the account.
        if not sql.update(user, "last_login", "language"):
            raise UserDeleted
        django_login(request, user, backend=BACKEND)
        context = get_request_context()
        request.session[DEVICE] = {
            "id": str(uuid.uuid4()),
            "ip": context.ip,
            "user_agent": context.user_agent,
        }
        request.session[SIGNED_IN_AT] = timezone.now().isoformat()
        request.session.update(content)
        request.session.save()
        audit_log.record("account:session:start", actor=user, target=user, methods=methods)


def end_this_session(request: HttpRequest) -> None:
    """Sign the user of `request` out in this browser, with an audit row."""
    user: Any = request.user
    with transaction.atomic():
        lock_users(user.pk)
        logout(request)
        audit_log.record("account:session:end", actor=user, target=user)


def note_refused_sign_in(login: str, methods: list[str]) -> None:
    """Audit a failed attempt to sign in as `login`.

    The text of `login` is not stored, because users type passwords into the wrong field (A161).
    """
    target = User.objects.with_login(login).first()
    audit_log.record("account:session:start", target=target, result="refused", methods=methods)


def note_wrong_password(user: User, action: str, *, actor: User | None = None) -> None:
    """Audit that an action on `user` was refused for a wrong password."""
    audit_log.record(action, actor=actor, target=user, result="refused", methods=["password"])


def require_own_password(
    user: User, password: str, action: str, *, beside: dict[str, list[str]] | None = None
) -> None:
    """Raise OwnPasswordWrong, and audit it as `action`, unless `password` is the user's.

    beside: other errors of the form. The caller has counted the attempt.
    """
    if not user.check_password(password):
        note_wrong_password(user, action, actor=user)
        raise OwnPasswordWrong(beside)


def user_of_session(store: SessionStore) -> User | None:
    """The user of a session's content, as for a request with its cookie; None if they may not act.

    Checks the session hash and asks the access policy.
    """
    request = HttpRequest()
    request.session = store
    user = get_user(request)
    return user if isinstance(user, User) else None


def own_sessions(user: User) -> list[BrowserSession]:
    """Live sessions of `user`, most recently used first, at most 200."""
    live = user.sessions.filter(expire_date__gt=timezone.now())
    return list(live.order_by("-last_seen_at")[:200])


def end_own_session(user: User, public_id: uuid.UUID) -> None:
    """Sign one of the user's own devices out. Raises NotFound."""
    _end_one(actor=user, user=user, public_id=public_id)


def end_session(*, actor: Actor, session: BrowserSession) -> None:
    """Sign one device out, of another user or of the actor.

    Raises Forbidden when the actor's role is too low, NotFound when the session has ended already.
    """
    user = session.user
    if user is None:
        raise NotFound
    require_rank_or_self(actor, user)
    _end_one(actor=actor, user=user, public_id=session.public_id)


def end_sessions(*, actor: Actor, user: User, renew: Renew | None = None) -> int:
    """Sign `user` out everywhere and revoke all tokens; returns how many sessions ended.

    `user` may be the actor. Raises Forbidden when the actor's role is too low.
    """
    require_rank_or_self(actor, user)
    with transaction.atomic():
        count = revoke_sessions(user, "sessions ended")
        audit_log.record("account:session:end-all", actor=actor, target=user, count=count)
        if renew:
            renew()
    return count


def revoke_credentials(user: User, reason: str) -> int:
    """Revoke everything that was issued to `user`, API keys too; see revoke_sessions()."""
    user.keys_valid_from = _next_valid_from(user)
    user.save(update_fields=["keys_valid_from"])
    return revoke_sessions(user, reason)


def revoke_sessions(user: User, reason: str) -> int:
    """Revoke all sessions, links and tokens of `user`, in the transaction of the caller.

    Sets `credentials_valid_from`; returns how many sessions ended. API keys stay valid: their
    scopes follow the role by themselves, and a script is no device.
    """
    user.credentials_valid_from = _next_valid_from(user)
    user.save(update_fields=["credentials_valid_from"])
    note_revocation(user.pk)
    count = user.sessions.all().delete()[1].get(BrowserSession._meta.label, 0)
    transaction.on_commit(lambda: access_changed.send(sender=User, user=user, reason=reason))
    return count


def _next_valid_from(user: User) -> datetime:
    """A time later than everything that was issued to `user`, by any node.

    The clocks of nodes differ and may be set back, and a revocation must hold all the same. The row
    stays locked, so that nothing is issued in between.
    """
    row = User.all_objects.select_for_update(no_key=True).filter(pk=user.pk)
    previous = row.values_list("credentials_valid_from", "keys_valid_from").first() or ()
    now = timezone.now()
    own = [sql.newest(each, now) for each in (user.tokens.all(), user.trusted_browsers.all())]
    answers: list[tuple[Any, Any]] = access_ending.send(sender=User, user=user, after=now)
    others = (newest for _receiver, newest in answers)
    return sql.next_monotonic_time(now, *previous, *own, *others)


def _end_one(*, actor: Actor, user: User, public_id: uuid.UUID) -> None:
    with transaction.atomic():
        lock_users(user.pk)
        if not user.sessions.filter(public_id=public_id).delete()[0]:
            raise NotFound
        audit_log.record("account:session:end", actor=actor, target=user)
