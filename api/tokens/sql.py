"""Prepared statements for token families; see core.sql."""

import uuid
from datetime import datetime
from functools import cache

from accounts.models import BrowserSession, Membership, User
from api.models import TokenFamily
from core import sql
from moderation.services.bans import note_no_ban, unlifted_ban_sql

_FAMILIES, _USERS = TokenFamily._meta.db_table, User._meta.db_table
_SESSIONS, _MEMBERSHIPS = BrowserSession._meta.db_table, Membership._meta.db_table
# Contain names of our own tables and columns only, never input.
ADVANCE = f"""UPDATE "{_FAMILIES}" SET "generation" = "generation" + 1, "rotated_at" = %s
    WHERE "id" = %s AND "generation" = %s AND "ended_at" IS NULL AND "expires_at" > %s"""  # noqa: S608
NOTE_SIGN_IN = f"""UPDATE "{_USERS}" SET "last_login" = %s
    WHERE "id" = %s AND "credentials_valid_from" = %s"""  # noqa: S608


def find_family(family_id: uuid.UUID) -> tuple[TokenFamily, datetime | None] | None:
    """Return a family with its `user` loaded, and the expiry of its session or None."""
    found = _query().fetch_one(family_id)
    if found is None:
        return None
    count = len(sql.columns_of(TokenFamily))
    family = sql.instance(TokenFamily, found[:count])
    *of_user, session_end, has_ban, has_groups = found[count:]
    family.user = sql.instance(User, of_user)
    if not has_ban:
        note_no_ban(family.user)
    if not has_groups:
        family.user.loaded_memberships = ()
    return family, session_end


def advance(family: TokenFamily, now: datetime) -> bool:
    """Advance a live family to the next generation; False if another request did so first."""
    return sql.change(
        ADVANCE,
        TokenFamily,
        rotated_at=now,
        id=family.pk,
        generation=family.generation,
        expires_at=now,
    )


def note_sign_in(user: User, at: datetime) -> bool:
    """Save the last sign-in, unless the user's access has changed since `user` was read.

    A change of password or access holds the lock of this row, so this waits for it and then sees
    the change.
    """
    return sql.change(
        NOTE_SIGN_IN,
        User,
        last_login=at,
        id=user.pk,
        credentials_valid_from=user.credentials_valid_from,
    )


@cache
def _query() -> sql.PreparedRowQuery:
    """Family, user, and the expiry of the session."""
    fields = (*sql.columns_of(TokenFamily), *sql.columns_of(User))
    return sql.PreparedRowQuery(
        (*fields, BrowserSession._meta.get_field("expire_date")),
        f"""FROM "{_FAMILIES}" JOIN "{_USERS}" ON "{_USERS}"."id" = "{_FAMILIES}"."user_id"
            LEFT JOIN "{_SESSIONS}" ON "{_SESSIONS}"."public_id" = "{_FAMILIES}"."session_id"
                AND "{_SESSIONS}"."user_id" = "{_FAMILIES}"."user_id"
            WHERE "{_FAMILIES}"."id" = %s""",
        TokenFamily._meta.pk,
        unlifted_ban_sql(f'"{_USERS}"."id"'),
        f"""EXISTS (SELECT 1 FROM "{_MEMBERSHIPS}" WHERE "user_id" = "{_USERS}"."id")""",  # noqa: S608
    )
