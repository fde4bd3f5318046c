"""The cookie for apps on other hosts: issued for a browser session, and deleted with it."""

from contextlib import suppress
from datetime import datetime

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts.models import BrowserSession, User
from accounts.services.sessions import user_of_session
from accounts.sessions.store import PURPOSE as SESSION
from accounts.sessions.store import SessionStore
from applications.services.introspection import Credential, session_credential
from core import sql
from core.crypto.tokens import digest, make_token
from forward_auth.models import ForwardAuthCookie
from forward_auth.request import COOKIE_PURPOSE


def issue_forward_auth_cookie(session_key: str) -> str:
    """Issue a new cookie for the session; an earlier one stops working.

    Returns its only plain copy, or "" when the session has ended meanwhile.
    """
    token = make_token()
    row = ForwardAuthCookie(
        session_id=digest(SESSION, session_key),
        digest=digest(COOKIE_PURPOSE, token),
        created_at=timezone.now(),
    )
    try:
        with transaction.atomic():
            ForwardAuthCookie.objects.bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["session"],
                update_fields=["digest", "created_at"],
            )
    except IntegrityError:
        return ""
    return token


def cookie_belongs_to_session(session_key: str, token: str) -> bool:
    """Whether `token` was issued for the session with this cookie."""
    row = sql.find(ForwardAuthCookie, "digest", digest(COOKIE_PURPOSE, token))
    return row is not None and row.session_id == digest(SESSION, session_key)


def read_cookie(text: str, _client_ip: str, now: datetime) -> Credential | None:
    """For an app that asks: the session of this cookie. Extends nothing."""
    row = sql.find(ForwardAuthCookie, "digest", digest(COOKIE_PURPOSE, text))
    session = None if row is None else SessionStore.find_row(row.session_id)
    return None if session is None else session_credential(session, now)


def user_by_forward_auth_cookie(token: str, now: datetime) -> User | None:
    """The user of this cookie, if they may act now. Writes the activity of the session."""
    rows = ForwardAuthCookie.objects.select_related("session").filter(
        digest=digest(COOKIE_PURPOSE, token)
    )
    session = next((row.session for row in rows), None)
    if session is None or session.expire_date <= now:
        return None
    store = SessionStore.read_only(session)
    store.last_seen_at = session.last_seen_at
    user = user_of_session(store)
    if user is None or store.is_past_absolute_end(now):
        return None
    if store.is_stale(now):
        live = BrowserSession.objects.filter(pk=session.pk)
        with suppress(DatabaseError):  # a read-only database signs no one out
            live.update(last_seen_at=now, expire_date=store.get_expiry_date())
    return user
