"""The session store: Django's database sessions, stored under a digest of the cookie.

Someone who reads the table (from a backup, or by SQL injection) cannot use a session, because the
value of the cookie is not in it. User and device are columns, so sessions can be listed and ended.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone
from django.utils.crypto import get_random_string

from accounts.models import BrowserSession
from core import sql
from core.crypto.tokens import digest
from core.locks import delete_free

DEVICE = "_device"
SIGNED_IN_AT = "_signed_in_at"
PURPOSE = "session"
# Activity is written at most this often, so that most requests write nothing.
TOUCH_EVERY = timedelta(minutes=5)
ANONYMOUS_COOKIE_AGE = int(timedelta(hours=1).total_seconds())


class SessionStore(DatabaseStore):
    """Callers use the value of the cookie as the key; the table has its digest.

    Only the synchronous methods are adapted. The asynchronous ones would look up the raw value and
    find nothing.
    """

    last_seen_at: datetime | None = None
    # When it ends without further activity.
    idle_end: datetime | None = None
    _is_new = False
    _written: str | None = None

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        return BrowserSession

    def _get_session_from_db(self) -> BrowserSession | None:
        row = self.find_row(digest(PURPOSE, self.session_key or ""))
        if row is None:
            self._session_key = None
            return None
        self.last_seen_at, self.idle_end = row.last_seen_at, row.expire_date
        return row

    @staticmethod
    def find_row(session_digest: str) -> BrowserSession | None:
        """The row of a session that has not ended, by the digest of its cookie."""
        row = sql.find(BrowserSession, "session_key", session_digest)
        return None if row is None or row.expire_date <= timezone.now() else row

    @classmethod
    def read_only(cls, row: BrowserSession) -> "SessionStore":
        """The content of `row`, for a caller without its cookie. Do not save it."""
        store = cls()
        store._session_cache = store.decode(row.session_data)
        return store

    def exists(self, session_key: str) -> bool:
        return BrowserSession.objects.filter(pk=digest(PURPOSE, session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> BrowserSession:
        device = data.get(DEVICE, {})
        signed_in_at = data.get(SIGNED_IN_AT)
        return BrowserSession(
            session_key=digest(PURPOSE, self.session_key or ""),
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=data.get(SESSION_KEY),
            ip=device.get("ip", ""),
            user_agent=device.get("user_agent", ""),
            public_id=device.get("id") or BrowserSession._meta.get_field("public_id").get_default(),
            state=_state(data),
            created_at=datetime.fromisoformat(signed_in_at) if signed_in_at else timezone.now(),
        )

    def get_session_cookie_age(self) -> int:
        """In seconds. Sessions without a user last an hour, so that visitors do not fill the table.

        That is longer than any sign-in takes.
        """
        return int(settings.SESSION_COOKIE_AGE if SESSION_KEY in self else ANONYMOUS_COOKIE_AGE)

    def create(self) -> None:
        """Make a new key. The row is written by the first save() that has content.

        32 random characters (165 bits) need no check for collisions.
        """
        self._session_key = get_random_string(32, VALID_KEY_CHARS)
        self._is_new = True
        self._session_cache: dict[str, Any] = {}
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        """Write the row, unless this request has written the same content already."""
        if self.session_key is None:
            data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # not in the stubs
            self.create()
            self._session_cache = data
        if SESSION_KEY in self and SIGNED_IN_AT not in self:
            # Started by code of another app: its absolute timeout starts now.
            self[SIGNED_IN_AT] = timezone.now().isoformat()
        content = json.dumps([self.session_key, self._session], sort_keys=True)  # type: ignore[attr-defined]
        if content == self._written:
            return
        if self._is_new:
            sql.insert([self.create_model_instance(self._session)])  # type: ignore[attr-defined]
        else:
            super().save()
        self._is_new, self._written = False, content

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            BrowserSession.objects.filter(pk=digest(PURPOSE, key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        delete_free(BrowserSession.objects.filter(expire_date__lt=timezone.now()))

    def is_past_absolute_end(self, now: datetime) -> bool:
        """Whether the absolute timeout since the sign-in has passed (ASVS 7.3.2)."""
        signed_in_at = self.get(SIGNED_IN_AT)
        if signed_in_at is None:
            return False
        return now - datetime.fromisoformat(signed_in_at) > settings.SESSION_ABSOLUTE_TIMEOUT

    def next_change(self) -> datetime | None:
        """When a request ends, extends or writes it, if nothing changes; None if it is not read."""
        signed_in_at = self.get(SIGNED_IN_AT)
        if signed_in_at is None or self.last_seen_at is None or self.idle_end is None:
            return None
        absolute_end = datetime.fromisoformat(signed_in_at) + settings.SESSION_ABSOLUTE_TIMEOUT
        return min(absolute_end, self.idle_end, self.last_seen_at + TOUCH_EVERY)

    def is_stale(self, now: datetime) -> bool:
        """Whether it is time to write `last_seen_at` again."""
        return self.last_seen_at is not None and now - self.last_seen_at > TOUCH_EVERY


def _state(data: dict[str, Any]) -> str:
    """The session auth hash; "" for a session of another backend, which Django does not accept."""
    is_ours = data.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return data.get(HASH_SESSION_KEY, "") if is_ours else ""
