"""Signing in and out: sessions begin and end here, with their audit row."""

import uuid
from datetime import datetime
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, logout
from django.contrib.auth import login as django_login
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit, rows
from accounts.actors import Actor
from accounts.context import current_caller, note_end
from accounts.errors import AccountGone, Forbidden, NotFound, OwnPasswordWrong
from accounts.locks import lock_people
from accounts.methods import audit_name
from accounts.models import BrowserSession, User
from accounts.roles import Role, can_manage
from accounts.sessions import DEVICE, SIGNED_IN_AT
from accounts.signals import access_changed, access_ending

BACKEND = "accounts.backends.GateBackend"


# What Django writes into a session to say whose it is; a new one gets its own.
OWN_KEYS = frozenset({SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY, DEVICE})


def renew(request: HttpRequest, user: User) -> None:
    """Begin this browser's session anew, after all sessions of the person have been ended.

    It is no sign-in: it ends when the old one would have ended, and proves no more than that did.
    """
    kept = {name: value for name, value in request.session.items() if name not in OWN_KEYS}
    sign_in(request, user, kept=kept)


def sign_in(request: HttpRequest, user: User, *, kept: dict[str, Any] | None = None) -> None:
    """Begin a session for `user` on this browser; the row is written before this returns.

    The caller has passed the gate. The session key is new (no fixation), and row, last sign-in
    and audit row commit together, so that a crash leaves all or nothing. kept: see renew(). Raises
    AccountGone when the account has been deleted meanwhile.
    """
    try:
        _write_sign_in(request, user, kept or {})
    except AccountGone:
        logout(request)
        raise


def _write_sign_in(request: HttpRequest, user: User, kept: dict[str, Any]) -> None:
    records = get_authentication_records(request, user)
    methods = sorted({audit_name(record) for record in records})
    with transaction.atomic(savepoint=False):
        user.last_login = timezone.now()
        # First, as the order of locks wants it. Waits for whoever deletes the account just now.
        if not rows.update(user, "last_login"):
            raise AccountGone
        django_login(request, user, backend=BACKEND)
        caller = current_caller()
        request.session[DEVICE] = {
            "id": str(uuid.uuid4()),
            "ip": caller.ip,
            "user_agent": caller.user_agent,
        }
        request.session[SIGNED_IN_AT] = timezone.now().isoformat()
        request.session.update(kept)
        request.session.save()
        audit.record("account:session:start", actor=user, target=user, methods=methods)


def end_this_session(request: HttpRequest) -> None:
    """Sign the person of `request` out in this browser, with the audit row."""
    user: Any = request.user
    with transaction.atomic():
        lock_people(user.pk)
        logout(request)
        audit.record("account:session:end", actor=user, target=user)


def note_refused_sign_in(login: str, methods: list[str]) -> None:
    """Write down that somebody tried to sign in as `login` and failed.

    What was typed is not written: people type passwords into the wrong field (A161).
    """
    target = User.objects.with_login(login).first()
    audit.record("account:session:start", target=target, result="refused", methods=methods)


def note_wrong_password(user: User, action: str, *, actor: User | None = None) -> None:
    """Write down that a password was asked for an act on `user` and was wrong; not what it was."""
    audit.record(action, actor=actor, target=user, result="refused", methods=["password"])


def require_own_password(
    user: User, password: str, action: str, *, beside: dict[str, list[str]] | None = None
) -> None:
    """Raise OwnPasswordWrong, and write it down as `action`, unless it is the person's password.

    beside: what else is wrong with the form. The caller has counted the attempt.
    """
    if not user.check_password(password):
        note_wrong_password(user, action, actor=user)
        raise OwnPasswordWrong(beside)


def own_sessions(user: User) -> list[BrowserSession]:
    """Live sessions of `user`, last seen first."""
    live = user.sessions.filter(expire_date__gt=timezone.now())
    return list(live.order_by("-last_seen_at")[:200])


def end_own_session(user: User, public_id: uuid.UUID) -> None:
    """Sign one of the person's own devices out. Raises NotFound."""
    _end_one(actor=user, user=user, public_id=public_id)


def end_session(*, actor: Actor, session: BrowserSession) -> None:
    """Sign one device out, as an operator. Everybody may do it to himself.

    Raises Forbidden when the actor's rank is too low, NotFound when it has ended already.
    """
    user = session.user
    if user is None:
        raise NotFound
    _require_rank_or_self(actor, user)
    _end_one(actor=actor, user=user, public_id=session.public_id)


def end_sessions(*, actor: Actor, user: User) -> int:
    """Sign `user` out everywhere; every token older than now dies too. Returns ended sessions.

    Raises Forbidden when the actor's rank is too low; everybody may do it to himself.
    """
    _require_rank_or_self(actor, user)
    with transaction.atomic():
        count = end_sign_ins(user, "sessions ended")
        audit.record("account:session:end-all", actor=actor, target=user, count=count)
    return count


def end_access(user: User, reason: str) -> int:
    """Kill everything that was issued before, API keys too; see end_sign_ins()."""
    user.keys_not_before = _next_mark(user)
    user.save(update_fields=["keys_not_before"])
    return end_sign_ins(user, reason)


def end_sign_ins(user: User, reason: str) -> int:
    """Kill sessions and move `not_before` in the caller's transaction; returns ended sessions.

    API keys stay: their scopes follow the role by themselves, and a script is no device.
    """
    user.not_before = _next_mark(user)
    user.save(update_fields=["not_before"])
    note_end(user.pk)
    count = user.sessions.all().delete()[1].get(BrowserSession._meta.label, 0)
    transaction.on_commit(lambda: access_changed.send(sender=User, user=user, reason=reason))
    return count


def _next_mark(user: User) -> datetime:
    """Later than all that was issued to `user` and than the marks so far, whatever clock set them.

    Clocks of nodes differ and are set back; an end must hold all the same. The row stays locked,
    so that nothing is issued in between.
    """
    row = User.everyone.select_for_update(no_key=True).filter(pk=user.pk)
    marks = row.values_list("not_before", "keys_not_before").first() or ()
    now = timezone.now()
    own = [rows.newest(each, now) for each in (user.tokens.all(), user.remembered_browsers.all())]
    answers: list[tuple[Any, Any]] = access_ending.send(sender=User, user=user, after=now)
    return rows.later_than_all(now, *marks, *own, *(answer for _receiver, answer in answers))


def _end_one(*, actor: Actor, user: User, public_id: uuid.UUID) -> None:
    with transaction.atomic():
        lock_people(user.pk)
        if not user.sessions.filter(public_id=public_id).delete()[0]:
            raise NotFound
        audit.record("account:session:end", actor=actor, target=user)


def _require_rank_or_self(actor: Actor, user: User) -> None:
    """Everybody may end what is his own. services.users asks ranks too, but stands on this room."""
    is_own = actor.pk == user.pk and not user.is_built_in
    if not is_own and (user.is_built_in or not can_manage(Role(actor.role), Role(user.role))):
        raise Forbidden
