"""Prepared statements for API keys; see core.sql."""

from datetime import datetime
from functools import cache

from accounts.models import User
from api.apikeys.quota import NOTE_EVERY
from api.models import ApiKey
from core import sql
from moderation.services.bans import note_no_ban, unlifted_ban_sql

_KEYS, _USERS = ApiKey._meta.db_table, User._meta.db_table
# Contains names of our own tables and columns only, never input.
NOTE_USE = f"""UPDATE "{_KEYS}" SET "last_used_at" = %s, "last_used_ip" = %s
    WHERE "id" = %s AND ("last_used_at" IS NULL OR "last_used_at" < %s)"""  # noqa: S608


def find_key(key_id: str) -> ApiKey | None:
    """Return the key with its `user` loaded, or None."""
    found = _query().fetch_one(key_id)
    if found is None:
        return None
    count = len(sql.columns_of(ApiKey))
    key = sql.instance(ApiKey, found[:count])
    key.user = sql.instance(User, found[count:-1])
    if not found[-1]:
        note_no_ban(key.user)
    return key


def note_use(key: ApiKey, ip: str, now: datetime) -> None:
    """Save the last use of the key, unless another process did so within NOTE_EVERY."""
    sql.change(
        NOTE_USE,
        ApiKey,
        last_used_at=now,
        last_used_ip=ip,
        id=key.pk,
        created_at=now - NOTE_EVERY,  # compared with last_used_at; any date field converts alike
    )


@cache
def _query() -> sql.PreparedRowQuery:
    return sql.PreparedRowQuery(
        (*sql.columns_of(ApiKey), *sql.columns_of(User)),
        f"""FROM "{_KEYS}" JOIN "{_USERS}" ON "{_USERS}"."id" = "{_KEYS}"."user_id"
            WHERE "{_KEYS}"."id" = %s""",
        ApiKey._meta.pk,
        unlifted_ban_sql(f'"{_USERS}"."id"'),
    )
