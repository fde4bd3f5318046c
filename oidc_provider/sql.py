"""Prepared statements for grants; see core.sql."""

import uuid
from datetime import datetime
from functools import cache

from accounts.models import BrowserSession, Membership, User
from applications.models import App
from core import sql
from moderation.services.bans import note_no_ban, unlifted_ban_sql
from oidc_provider.models import AuthorizationCode, Grant

_GRANTS, _APPS, _USERS = Grant._meta.db_table, App._meta.db_table, User._meta.db_table
_SESSIONS, _MEMBERSHIPS = BrowserSession._meta.db_table, Membership._meta.db_table
_CODES = AuthorizationCode._meta.db_table
# Contain names of our own tables and columns only, never input.
USE_UP = f"""UPDATE "{_CODES}" SET "used_at" = %s WHERE "digest" = %s
    AND "used_at" IS NULL AND "replaced_at" IS NULL AND "expires_at" > %s"""  # noqa: S608
ADVANCE = f"""UPDATE "{_GRANTS}" SET "generation" = "generation" + 1, "refreshed_at" = %s
    WHERE "id" = %s AND "generation" = %s AND "ended_at" IS NULL AND "expires_at" > %s"""  # noqa: S608


def find_grant(grant_id: uuid.UUID) -> Grant | None:
    """The grant with its `app`, its `user` and the end of its session, by one statement."""
    found = _query().fetch_one(grant_id)
    if found is None:
        return None
    *values, session_end, has_ban, has_groups = found
    of_app = len(sql.columns_of(Grant))
    of_user = of_app + len(sql.columns_of(App))
    grant = sql.instance(Grant, values[:of_app])
    # Values may be shared with other requests; nobody changes what is in the dictionary.
    grant.claims = dict(grant.claims)
    user = sql.instance(User, values[of_user:])
    sql.relate(grant, app=sql.instance(App, values[of_app:of_user]), user=user)
    grant.session_end = session_end
    if not has_ban:
        note_no_ban(user)
    if not has_groups:
        user.loaded_memberships = ()
    return grant


def use_up_code(digest: str, now: datetime) -> AuthorizationCode | None:
    """As AuthorizationCode.objects.consume(): one conditional UPDATE decides who uses a code."""
    return sql.change_and_read(
        USE_UP, AuthorizationCode, used_at=now, digest=digest, expires_at=now
    )


def find_session(user_id: uuid.UUID, session_id: uuid.UUID) -> tuple[User, datetime] | None:
    """The user and the end of their session, by its public id; None if either is gone."""
    found = _session_query().fetch_one(session_id, user_id)
    if found is None:
        return None
    *of_user, end, has_ban = found
    user = sql.instance(User, of_user)
    if not has_ban:
        note_no_ban(user)
    return user, end


def advance(grant: Grant, now: datetime) -> bool:
    """Go on to the next generation of a live grant; False if another request was first."""
    return sql.change(
        ADVANCE,
        Grant,
        refreshed_at=now,
        id=grant.pk,
        generation=grant.generation,
        expires_at=now,
    )


@cache
def _session_query() -> sql.PreparedRowQuery:
    return sql.PreparedRowQuery(
        (*sql.columns_of(User), BrowserSession._meta.get_field("expire_date")),
        f"""FROM "{_SESSIONS}" JOIN "{_USERS}" ON "{_USERS}"."id" = "{_SESSIONS}"."user_id"
            WHERE "{_SESSIONS}"."public_id" = %s AND "{_SESSIONS}"."user_id" = %s""",
        (BrowserSession._meta.get_field("public_id"), User._meta.pk),
        unlifted_ban_sql(f'"{_USERS}"."id"'),
    )


@cache
def _query() -> sql.PreparedRowQuery:
    """Grant, app, user, and the end of the session that the grant ends with."""
    fields = (*sql.columns_of(Grant), *sql.columns_of(App), *sql.columns_of(User))
    return sql.PreparedRowQuery(
        (*fields, BrowserSession._meta.get_field("expire_date")),
        f"""FROM "{_GRANTS}" JOIN "{_APPS}" ON "{_APPS}"."id" = "{_GRANTS}"."app_id"
            JOIN "{_USERS}" ON "{_USERS}"."id" = "{_GRANTS}"."user_id"
            LEFT JOIN "{_SESSIONS}" ON "{_SESSIONS}"."public_id" = "{_GRANTS}"."session_id"
                AND "{_SESSIONS}"."user_id" = "{_GRANTS}"."user_id"
            WHERE "{_GRANTS}"."id" = %s""",
        Grant._meta.pk,
        unlifted_ban_sql(f'"{_USERS}"."id"'),
        f"""EXISTS (SELECT 1 FROM "{_MEMBERSHIPS}" WHERE "user_id" = "{_USERS}"."id")""",  # noqa: S608
    )
