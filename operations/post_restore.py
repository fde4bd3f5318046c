"""After a restore: nothing that was revoked since the backup may come to life again.

The restored database carries a mark that came in with the data, in the same transaction or file.
Whoever prepares that database next ends everything old and removes the mark, in one transaction:
a crash in between opens nothing.
"""

from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, EmailRequest, User
from api.models import ApiKey, SigningKey, TokenFamily
from api.tokens import signing_keys
from audit import audit_log
from core import sql
from core.encryption_key import FORGET_SQL, NOTE_SQL, make_fingerprint
from core.models import NamedLock
from core.single_use import SingleUseToken
from mail.models import OutboxMail
from mfa.models import TrustedBrowser

MARK = "restore"
KEEP_KEYS = "keep-keys"
END_REASON = "restored"
# Plain SQL, for a database that may be older than our models; the columns are those of the lock.
MARK_SQL = f"INSERT INTO core_namedlock (name, seq, hash) VALUES ('{MARK}', {{}}, '{{}}')"  # noqa: S608
UNMARK_SQL = f"DELETE FROM core_namedlock WHERE name = '{MARK}'"  # noqa: S608


class Revoked(NamedTuple):
    """How many of each ended; api_keys is 0 where they were kept."""

    people: int
    sessions: int
    sign_ins: int
    links: int
    mails: int
    api_keys: int
    kept_keys: bool


def mark_statements(number: int, *, keep_keys: bool, key: bytes) -> list[str]:
    """SQL that marks a database as restored by restore `number`, for use with ENCRYPTION_KEY `key`.

    The number names the folder of files that belong to it; see placing.py.
    """
    how = KEEP_KEYS if keep_keys else ""
    return [
        UNMARK_SQL,
        MARK_SQL.format(number, how),
        FORGET_SQL,
        NOTE_SQL.format(make_fingerprint(key)),
    ]


def unfinished_restore() -> int | None:
    """The number of the restore that brought this data, until finish_restore() has run."""
    if NamedLock._meta.db_table not in connection.introspection.table_names():
        return None
    return NamedLock.objects.filter(pk=MARK).values_list("seq", flat=True).first()


def finish_restore() -> Revoked | None:
    """End everything that was issued before, if the mark is there; None without it."""
    with transaction.atomic():
        mark = NamedLock.objects.select_for_update().filter(pk=MARK).first()
        if mark is None:
            return None
        keep_keys = mark.hash == KEEP_KEYS
        revoked = _revoke(keep_keys=keep_keys)
        mark.delete()
        audit_log.record(
            "instance:restore", actor=SYSTEM, people=revoked.people, keys_kept=keep_keys
        )
        # A signing key that was killed since the backup would sign again.
        if not settings.JWT_SECRET and SigningKey.objects.exists():
            signing_keys.replace_all(actor=SYSTEM)
    return revoked


def _revoke(*, keep_keys: bool) -> Revoked:
    now = timezone.now()
    # The clock that made the newest key may have been ahead.
    now = sql.next_monotonic_time(now, sql.newest(ApiKey.objects.all(), now))
    TrustedBrowser.objects.all().delete()
    marks = (
        {"credentials_valid_from": now}
        if keep_keys
        else {"credentials_valid_from": now, "keys_valid_from": now}
    )
    living_keys = ApiKey.objects.filter(revoked_at=None)
    families = TokenFamily.objects.filter(ended_at=None)
    EmailRequest.objects.all().delete()
    return Revoked(
        people=User.objects.update(**marks),
        sessions=BrowserSession.objects.all().delete()[1].get(BrowserSession._meta.label, 0),
        sign_ins=families.update(ended_at=now, end_reason=END_REASON),
        links=sum(kind.objects.replace(now) for kind in single_use_models()),
        mails=_drop_mails(),
        api_keys=0 if keep_keys else living_keys.count(),
        kept_keys=keep_keys,
    )


def single_use_models() -> list[type[SingleUseToken]]:
    """Every table of links and tokens that work once."""
    return [model for model in apps.get_models() if issubclass(model, SingleUseToken)]


def _drop_mails() -> int:
    """Mail that was on its way has been sent long ago, or holds a link that is dead now."""
    status = OutboxMail.Status
    waiting = OutboxMail.objects.filter(status__in=[status.QUEUED, status.SENDING, status.WAITING])
    return waiting.update(status=status.EXPIRED, sealed_body="")
