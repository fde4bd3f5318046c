"""Gate cookies: made for a browser session, known by their digest, gone with it."""

from contextlib import suppress
from datetime import datetime

from django.contrib.auth import get_user
from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import rows
from accounts.models import BrowserSession, User
from accounts.sessions import PURPOSE as SESSION
from accounts.sessions import SessionStore
from accounts.tokens import digest, make_token
from sso.cookies import PURPOSE
from sso.models import GateCookie


def issue_gate_cookie(session_key: str) -> str:
    """A new value for the session with this cookie; the one before is worth nothing from now on.

    "" when the session has ended meanwhile.
    """
    token = make_token()
    row = GateCookie(
        session_id=digest(SESSION, session_key),
        digest=digest(PURPOSE, token),
        created_at=timezone.now(),
    )
    try:
        with transaction.atomic():
            GateCookie.objects.bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["session"],
                update_fields=["digest", "created_at"],
            )
    except IntegrityError:
        return ""
    return token


def is_gate_cookie_of(session_key: str, token: str) -> bool:
    """Was `token` made for the session with this cookie?"""
    row = rows.find(GateCookie, "digest", digest(PURPOSE, token))
    return row is not None and row.session_id == digest(SESSION, session_key)


def person_by_gate_cookie(token: str, now: datetime) -> User | None:
    """Who may act by this cookie now, as by the session itself, whose activity is written."""
    gate = GateCookie.objects.select_related("session").filter(digest=digest(PURPOSE, token))
    session = next((row.session for row in gate), None)
    if session is None or session.expire_date <= now:
        return None
    store = SessionStore.read_only(session)
    store.last_seen_at = session.last_seen_at
    user = _person_of(store)
    if user is None or store.is_past_absolute_end(now):
        return None
    if store.is_stale(now):
        live = BrowserSession.objects.filter(pk=session.pk)
        with suppress(DatabaseError):  # whoever is in stays in while nothing can be written
            live.update(last_seen_at=now, expire_date=store.get_expiry_date())
    return user


def _person_of(store: SessionStore) -> User | None:
    """As of a session that came by its own cookie: the same hash, the same gate."""
    request = HttpRequest()
    request.session = store
    user = get_user(request)
    return user if isinstance(user, User) else None
