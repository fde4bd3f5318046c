"""The session and the user of a cookie by one statement, for answers in front of the middleware.

What the middleware of sessions and authentication would change something about is left to it: a
session that has to be written again, another key, a hash of an older secret. The checks are those
of django.contrib.auth.get_user() and of our backend.
"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    load_backend,
)
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.backends import AccountBackend
from accounts.models import BrowserSession, User
from accounts.sessions.store import PURPOSE, SessionStore
from core import sql
from core.crypto.tokens import digest
from moderation.services.bans import note_no_ban, unlifted_ban_sql

_SESSIONS, _USERS = BrowserSession._meta.db_table, User._meta.db_table


class LiveSession(NamedTuple):
    """store: do not save it. has_no_ban: the statement has found none; see note_no_ban()."""

    store: SessionStore
    user: User
    has_no_ban: bool


def find_live_session(cookie: str) -> LiveSession | None:
    """The session of a cookie, if its user may act now and nothing about it has to be written.

    None is no refusal: the middleware has to look at it.
    """
    found = _query().fetch_one(digest(PURPOSE, cookie))
    if found is None:
        return None
    of_session = len(sql.columns_of(BrowserSession))
    row = sql.instance(BrowserSession, found[:of_session])
    *of_user, has_ban = found[of_session:]
    user = sql.instance(User, of_user)
    if not has_ban:
        note_no_ban(user)
    now = timezone.now()
    store = SessionStore()
    store._session_cache = dict(_decoded(row.session_data, settings.SECRET_KEY))
    store.last_seen_at = row.last_seen_at
    if row.expire_date <= now or store.is_past_absolute_end(now) or store.is_stale(now):
        return None
    return LiveSession(store, user, not has_ban) if _is_authenticated(store, user) else None


@lru_cache(maxsize=1024)
def _decoded(session_data: str, _secret_key: str) -> dict[str, Any]:
    """What a session contains. Its text never changes without being another text."""
    return dict(SessionStore().decode(session_data))


def _is_authenticated(store: SessionStore, user: User) -> bool:
    path, state = store.get(BACKEND_SESSION_KEY), store.get(HASH_SESSION_KEY)
    if path not in settings.AUTHENTICATION_BACKENDS or store.get(SESSION_KEY) != str(user.pk):
        return False
    backend = load_backend(path)
    if not isinstance(backend, AccountBackend):
        return False
    if type(backend).get_user is not AccountBackend.get_user:
        return False
    if not state or not constant_time_compare(state, user.get_session_auth_hash()):
        return False
    return backend.accepts(user)


@cache
def _query() -> sql.PreparedRowQuery:
    # Contains names of our own tables and columns only, never input.
    return sql.PreparedRowQuery(
        (*sql.columns_of(BrowserSession), *sql.columns_of(User)),
        f"""FROM "{_SESSIONS}" JOIN "{_USERS}" ON "{_USERS}"."id" = "{_SESSIONS}"."user_id"
            WHERE "{_SESSIONS}"."session_key" = %s""",
        BrowserSession._meta.pk,
        unlifted_ban_sql(f'"{_USERS}"."id"'),
    )
