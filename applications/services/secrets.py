"""Creates, replaces and revokes the secrets of apps, and finds the app that sends one.

Only owners make secrets: with one, an app learns who its users are. Only the return value of
create_secret() contains the text.
"""

import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from applications.models import SECRET, App, AppSecret
from applications.secret_format import (
    MAX_CLIENT_ID_LENGTH,
    MAX_SECRET_LENGTH,
    digest_of,
    ending_of,
    make_secret,
)
from applications.services.apps import current_app, require_owner
from audit import audit_log
from core import sql
from core.errors import NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock

# Two, so that an app can be given a new one while it still uses the old one.
MAX_LIVE = 2
# Ended secrets that lists show.
ENDED_SHOWN = 10
OVERLAP, MAX_OVERLAP = timedelta(days=7), timedelta(days=90)
NOTE_EVERY = timedelta(minutes=1)
# Of a secret that was made elsewhere: authentik has 128 characters, Keycloak 32 or a UUID.
MIN_KNOWN_LENGTH = 20
_KNOWN = re.compile(r"[!-~]+", re.ASCII)
_SECRETS, _APPS = AppSecret._meta.db_table, App._meta.db_table
# Contains names of our own table and columns only, never input.
NOTE_USE = f"""UPDATE "{_SECRETS}" SET "last_used_at" = %s
    WHERE "id" = %s AND ("last_used_at" IS NULL OR "last_used_at" < %s)"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """`text` is the only copy of the secret."""

    secret: AppSecret
    text: str = field(repr=False)


def create_secret(*, actor: Actor, app: App, overlap: timedelta = OVERLAP) -> IssuedSecret:
    """Make a secret for an app. If it has one, that ends after `overlap`, or at its earlier end.

    overlap: zero if the old secret has become known; at most 90 days. Writes one audit row. Raises
    Forbidden, NotFound, and RecordInvalid for a bad overlap or a third live secret.
    """
    require_owner(actor)
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise RecordInvalid({"overlap": [_("Choose between 0 seconds and 90 days.")]})
    with transaction.atomic():
        current = current_app(app)
        text = make_secret()
        row = _row_of(current, text)
        live = _replace_live(row, overlap)
        _record_new(actor, row, live, overlap)
    return IssuedSecret(row, text)


def store_first_secret(app: App) -> IssuedSecret:
    """The secret of an app that registers itself, for the transaction that stores the app.

    Call before its audit rows, which say that it has one.
    """
    text = make_secret()
    row = _row_of(app, text)
    row.save(force_insert=True)
    return IssuedSecret(row, text)


def keep_known_secret(*, actor: Actor, app: App, text: str, overlap: timedelta = OVERLAP) -> bool:
    """Let an app that exists keep a secret that was made elsewhere; False if it is its secret.

    Others end as in create_secret(). Writes one audit row if anything changes. Raises Forbidden,
    NotFound, and RecordInvalid for a secret that cannot be used, has ended or is about to end.
    """
    require_owner(actor)
    problem = unusable_because(text)
    if problem:
        raise RecordInvalid({"client_secret": [problem]})
    with transaction.atomic():
        current = current_app(app)
        digest = digest_of(current.client_id, text)
        row = AppSecret.objects.filter(digest=digest).first()
        if row is not None and row.expires_at is None and row.revoked_at is None:
            return False
        if row is not None:
            problem = _("This secret has been replaced or revoked. Choose the new one.")
            raise RecordInvalid({"client_secret": [problem]})
        _replace_live(AppSecret(app=current, digest=digest), overlap)
        record_known_secret(actor=actor, app=current)
    return True


def _replace_live(row: AppSecret, overlap: timedelta) -> list[AppSecret]:
    """Store a secret, and let those that work end; returns these. Raises RecordInvalid."""
    now = timezone.now()
    if row.app.client_authentication != SECRET:
        problem = _("This app proves itself by a key of its own, and has no secret.")
        raise RecordInvalid({"record": [problem]})
    live = live_secrets(row.app, now)
    if len(live) >= MAX_LIVE and overlap:
        problem = _("This app has %(number)d secrets that work. Revoke one of them first.")
        raise RecordInvalid({"record": [problem % {"number": MAX_LIVE}]})
    for old in live:
        end = now + overlap
        old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
        old.save(update_fields=["expires_at"])
    row.created_at = now
    row.save(force_insert=True)
    return live


def unusable_because(text: str) -> str:
    """Why a secret that was made elsewhere cannot be used here; "" if it can."""
    if not MIN_KNOWN_LENGTH <= len(text) <= MAX_SECRET_LENGTH:
        return _("It is shorter than %(least)d characters, or too long.") % {
            "least": MIN_KNOWN_LENGTH
        }
    if not _KNOWN.fullmatch(text):
        return _("It has other characters than letters, digits and signs of ASCII.")
    return ""


def store_known_secret(*, actor: Actor, app: App, text: str) -> None:
    """Let a new app keep the secret that it has elsewhere.

    For the transaction that stores the app, before its audit rows. No part of the text is stored
    beside the digest, because another system may know it. Raises Forbidden, RecordInvalid.
    """
    require_owner(actor)
    problem = unusable_because(text)
    if problem:
        raise RecordInvalid({"client_secret": [problem]})
    acquire_lock(ROLES)
    row = AppSecret(app=app, created_at=timezone.now(), digest=digest_of(app.client_id, text))
    row.save(force_insert=True)


def record_known_secret(*, actor: Actor, app: App) -> None:
    """The audit row of a secret that was carried over."""
    audit_log.record("sso:app:secret-import", actor=actor, target=app, name=app.name)


def revoke_secret(*, actor: Actor, app: App, secret_id: UUID) -> None:
    """Revoke a secret of an app: the next request with it is refused. Writes one audit row.

    Raises Forbidden; NotFound if the secret is not the app's, or has ended.
    """
    require_owner(actor)
    now = timezone.now()
    with transaction.atomic():
        current = current_app(app)
        row = AppSecret.objects.filter(app=current, pk=secret_id).first()
        if row is None or row.state(now) != "live":
            raise NotFound(_("This secret does not work any more."))
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])
        audit_log.record(
            "sso:app:secret-revoke", actor=actor, target=current, name=current.name,
            ending=row.ending,
        )  # fmt: skip


def live_secrets(app: App, now: datetime) -> list[AppSecret]:
    """The secrets of the app that work, newest first."""
    return list(AppSecret.objects.filter(_live(now), app=app))


def secrets_of(app: App, now: datetime) -> list[AppSecret]:
    """The secrets of the app: those that work, then some that have ended, newest first each."""
    rows = AppSecret.objects.filter(app=app)
    return [*rows.filter(_live(now)), *rows.exclude(_live(now))[:ENDED_SHOWN]]


def app_of_credentials(client_id: str, secret: str) -> App | None:
    """The app with this client id, if this is one of its secrets that work; else None."""
    found = secret_of_credentials(client_id, secret)
    return None if found is None else found.app


def secret_of_credentials(client_id: str, secret: str) -> AppSecret | None:
    """The row of a secret that works, with its `app` loaded; None unless both belong together.

    One statement, by a digest of both, so an unknown client takes the same time as a wrong secret.
    The row may be reused inside core.row_cache.reuse_rows(). Saves the last use at most once a
    minute. Callers count failures; see applications.services.client_credentials.
    """
    if len(client_id) > MAX_CLIENT_ID_LENGTH or len(secret) > MAX_SECRET_LENGTH:
        return None
    given = digest_of(client_id, secret)
    found = _query().fetch_one(given)
    if found is None:
        return None
    count = len(sql.columns_of(AppSecret))
    row = sql.instance(AppSecret, found[:count])
    app = sql.instance(App, found[count:])
    sql.relate(row, app=app)
    # The database found it by the digest; collations are no concern of this comparison.
    is_right = hmac.compare_digest(row.digest, given)
    now = timezone.now()
    if not is_right or row.state(now) != "live" or app.client_authentication != SECRET:
        return None
    if row.last_used_at is None or now - row.last_used_at >= NOTE_EVERY:
        sql.change(
            NOTE_USE, AppSecret, last_used_at=now, id=row.pk, created_at=now - NOTE_EVERY
        )  # created_at: compared with last_used_at; any date field converts alike
    return row


def _row_of(app: App, text: str) -> AppSecret:
    return AppSecret(app=app, ending=ending_of(text), digest=digest_of(app.client_id, text))


def _live(now: datetime) -> Q:
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))


@cache
def _query() -> sql.PreparedRowQuery:
    return sql.PreparedRowQuery(
        (*sql.columns_of(AppSecret), *sql.columns_of(App)),
        f"""FROM "{_SECRETS}" JOIN "{_APPS}" ON "{_APPS}"."id" = "{_SECRETS}"."app_id"
            WHERE "{_SECRETS}"."digest" = %s""",
        AppSecret._meta.get_field("digest"),
    )


def _record_new(actor: Actor, row: AppSecret, before: list[AppSecret], overlap: timedelta) -> None:
    names = {"name": row.app.name, "ending": row.ending}
    if not before:
        audit_log.record("sso:app:secret-create", actor=actor, target=row.app, **names)
        return
    audit_log.record(
        "sso:app:secret-rotate",
        actor=actor,
        target=row.app,
        before=", …".join(each.ending for each in before),
        overlap_hours=overlap // timedelta(hours=1),
        **names,
    )
