"""A family with its person and session in one ready statement; see core.sql."""

import uuid
from datetime import datetime
from functools import cache

from accounts.models import BrowserSession, User
from api.models import TokenFamily
from core import sql

_FAMILIES, _PEOPLE = TokenFamily._meta.db_table, User._meta.db_table
_SESSIONS = BrowserSession._meta.db_table
# Names of our own tables and columns: the statements hold no foreign text.
ADVANCE = f"""UPDATE "{_FAMILIES}" SET "generation" = "generation" + 1, "rotated_at" = %s
    WHERE "id" = %s AND "generation" = %s AND "ended_at" IS NULL AND "expires_at" > %s"""  # noqa: S608
NOTE_SIGN_IN = f"""UPDATE "{_PEOPLE}" SET "last_login" = %s
    WHERE "id" = %s AND "credentials_valid_from" = %s"""  # noqa: S608


def find_family(family_id: uuid.UUID) -> tuple[TokenFamily, datetime | None] | None:
    """A family, its `user` loaded, and the end of its browser session (None: no such session)."""
    found = _query().fetch_one(family_id)
    if found is None:
        return None
    count = len(sql.columns_of(TokenFamily))
    family = sql.instance(TokenFamily, found[:count])
    family.user = sql.instance(User, found[count:-1])
    return family, found[-1]


def advance(family: TokenFamily, now: datetime) -> bool:
    """Spend the present generation of a living family; False when somebody else was faster."""
    return sql.change(
        ADVANCE,
        TokenFamily,
        rotated_at=now,
        id=family.pk,
        generation=family.generation,
        expires_at=now,
    )


def note_sign_in(user: User, at: datetime) -> bool:
    """Write the last sign-in, unless the access of the person has changed since `user` was read.

    Whoever changes a password or an access holds this row until it is done, so this waits and
    then sees it.
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
    """Family, person, and the end of the session."""
    fields = (*sql.columns_of(TokenFamily), *sql.columns_of(User))
    return sql.PreparedRowQuery(
        (*fields, BrowserSession._meta.get_field("expire_date")),
        f"""FROM "{_FAMILIES}" JOIN "{_PEOPLE}" ON "{_PEOPLE}"."id" = "{_FAMILIES}"."user_id"
            LEFT JOIN "{_SESSIONS}" ON "{_SESSIONS}"."public_id" = "{_FAMILIES}"."session_id"
                AND "{_SESSIONS}"."user_id" = "{_FAMILIES}"."user_id"
            WHERE "{_FAMILIES}"."id" = %s""",
        by=TokenFamily._meta.pk,
    )
