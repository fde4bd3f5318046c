"""After a restore: nothing that was revoked since the backup may become valid again.

The restored database contains a marker that arrived in the same transaction or file. The process
that prepares the database next revokes everything old and deletes the marker in one transaction, so
a crash in between makes nothing valid.
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
from core.crypto.encryption_key import FORGET_SQL, NOTE_SQL, make_fingerprint
from core.models import NamedLock
from core.single_use import SingleUseToken
from mail.models import OutboxMail
from mfa.models import TrustedBrowser
from oidc_provider.models import InitialAccessToken
from webhooks.services.endpoints import drop_deliveries

MARKER = "restore"
KEEP_KEYS = "keep-keys"
END_REASON = "restored"
# Plain SQL, because the database may be older than the models. The row is one of core_namedlock.
MARKER_SQL = f"INSERT INTO core_namedlock (name, seq, hash) VALUES ('{MARKER}', {{}}, '{{}}')"  # noqa: S608
DELETE_MARKER_SQL = f"DELETE FROM core_namedlock WHERE name = '{MARKER}'"  # noqa: S608


REVIEW = (
    "Roles, passwords, bans, disabled and deleted accounts are as they were when the backup was "
    "made. Review what has changed since, above all accounts that were disabled."
)


class Revoked(NamedTuple):
    """How many of each were revoked. api_keys: 0 if they were kept."""

    users: int
    sessions: int
    sign_ins: int
    links: int
    mails: int
    deliveries: int
    api_keys: int
    kept_keys: bool

    def describe(self) -> str:
        """The message for the administrator who restores: what is invalid now, and what is not."""
        keys = (
            "API keys were kept. A key that was revoked since the backup works again."
            if self.kept_keys
            else f"{self.api_keys} API keys are invalid; create new ones."
        )
        return "\n".join(
            (
                "The data is from a backup. Everything that was issued before is invalid:",
                f"  {self.users} users must sign in again. {self.sessions} sessions have ended.",
                f"  {self.sign_ins} token sign-ins of programs have ended.",
                f"  {self.links} links are invalid. {self.mails} mails will not be sent.",
                f"  {self.deliveries} deliveries of webhooks will not be sent.",
                f"  {keys}",
                "  Signing keys were replaced. Backends load the new key set by themselves.",
                REVIEW,
                "",
            )
        )


def marker_statements(number: int, *, keep_keys: bool, key: bytes) -> list[str]:
    """SQL that marks a database as restored by restore `number`, for use with ENCRYPTION_KEY `key`.

    The number names the staging folder of its files; see backup/file_switch.py.
    """
    how = KEEP_KEYS if keep_keys else ""
    return [
        DELETE_MARKER_SQL,
        MARKER_SQL.format(number, how),
        FORGET_SQL,
        NOTE_SQL.format(make_fingerprint(key)),
    ]


def unfinished_restore() -> int | None:
    """The number of the restore that wrote this data, until finish_restore() has run; or None."""
    if NamedLock._meta.db_table not in connection.introspection.table_names():
        return None
    return NamedLock.objects.filter(pk=MARKER).values_list("seq", flat=True).first()


def finish_restore() -> Revoked | None:
    """Revoke everything that was issued before, if there is a marker; returns None without."""
    with transaction.atomic():
        marker = NamedLock.objects.select_for_update().filter(pk=MARKER).first()
        if marker is None:
            return None
        keep_keys = marker.hash == KEEP_KEYS
        revoked = _revoke(keep_keys=keep_keys)
        marker.delete()
        audit_log.record(
            "instance:restore", actor=SYSTEM, people=revoked.users, keys_kept=keep_keys
        )
        # A signing key that was revoked since the backup would sign again.
        if not settings.JWT_SECRET and SigningKey.objects.exists():
            signing_keys.replace_all(actor=SYSTEM)
    return revoked


def _revoke(*, keep_keys: bool) -> Revoked:
    now = timezone.now()
    # The clock that stamped the newest key may have been ahead.
    now = sql.next_monotonic_time(now, sql.newest(ApiKey.objects.all(), now))
    TrustedBrowser.objects.all().delete()
    # One that was used up or deleted since the backup would register apps again.
    InitialAccessToken.objects.all().delete()
    valid_from = (
        {"credentials_valid_from": now}
        if keep_keys
        else {"credentials_valid_from": now, "keys_valid_from": now}
    )
    live_keys = ApiKey.objects.filter(revoked_at=None)
    families = TokenFamily.objects.filter(ended_at=None)
    EmailRequest.objects.all().delete()
    return Revoked(
        users=User.objects.update(**valid_from),
        sessions=BrowserSession.objects.all().delete()[1].get(BrowserSession._meta.label, 0),
        sign_ins=families.update(ended_at=now, end_reason=END_REASON),
        links=sum(kind.objects.replace(now) for kind in single_use_models()),
        mails=_drop_mails(),
        deliveries=drop_deliveries(),
        api_keys=0 if keep_keys else live_keys.count(),
        kept_keys=keep_keys,
    )


def single_use_models() -> list[type[SingleUseToken]]:
    """Every model of links and tokens for single use."""
    return [model for model in apps.get_models() if issubclass(model, SingleUseToken)]


def _drop_mails() -> int:
    """Expire queued mail: it was sent since the backup, or contains a link that is now invalid."""
    status = OutboxMail.Status
    waiting = OutboxMail.objects.filter(status__in=[status.QUEUED, status.SENDING, status.WAITING])
    return waiting.update(status=status.EXPIRED, sealed_body="")
