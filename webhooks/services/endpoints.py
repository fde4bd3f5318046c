"""Creates, changes and removes endpoints, and makes their secrets.

Endpoints are settings, so only owners change them (CONTRACT section 4); administrators read them,
test them and send deliveries again. The audit log gets the host of a URL, because paths of
receivers are often secrets.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.roles import ADMIN_ROLES, Role
from audit import audit_log
from core.crypto.encryption import decrypt, encrypt
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import AUDIT, ROLES, acquire_lock
from core.models import NamedLock
from core.text.cleaning import clean_each
from core.text.plain_text import clean_name
from webhooks.endpoint_url import clean_url, host_of
from webhooks.events import TYPES
from webhooks.models import NAME_MAX_LENGTH, NoticeChoice, WebhookDelivery, WebhookEndpoint
from webhooks.signing import make_secret, secret_of

FIELDS = ("name", "url", "event_types", "is_enabled")
MAX_ENDPOINTS = 20
OVERLAP, MAX_OVERLAP = timedelta(hours=24), timedelta(days=7)
Reason = WebhookEndpoint.DisabledReason
Status = WebhookDelivery.Status


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """secret: the only copy that anyone sees."""

    endpoint: WebhookEndpoint
    secret: str = field(repr=False)


def create_endpoint(
    *, actor: Actor, values: Mapping[str, Any], known_secret: str = ""
) -> IssuedEndpoint:
    """Store a new endpoint, which gets events from now on. Raises Forbidden, RecordInvalid.

    values: of FIELDS; name and url are required. known_secret: one that was made elsewhere.
    """
    _require_owner(actor)
    cleaned = clean_values({"name": "", "url": "", "event_types": [], **values})
    secret = _usable_secret(known_secret) if known_secret else make_secret()
    row = WebhookEndpoint(**cleaned)
    row.sealed_secret = encrypt(secret, _associated_data(row, "sealed_secret"))
    _set_disabled_reason(row)
    with transaction.atomic():
        acquire_lock(ROLES)
        if WebhookEndpoint.objects.count() >= MAX_ENDPOINTS:
            raise RecordInvalid({"name": [_("There are too many webhooks. Delete one first.")]})
        row.cursor = audit_head()
        row.save(force_insert=True)
        _record("webhook:endpoint:create", actor, row, events=list(row.event_types))
    return IssuedEndpoint(row, secret)


def edit_endpoint(
    *, actor: Actor, endpoint: WebhookEndpoint, changes: Mapping[str, Any]
) -> WebhookEndpoint:
    """Store some of FIELDS. Without a change, nothing is written.

    An endpoint that is enabled again gets events from now on, and forgets its failures. Raises
    Forbidden, RecordInvalid, NotFound.
    """
    _require_owner(actor)
    cleaned = clean_values(changes)
    with transaction.atomic():
        row = locked(endpoint)
        changed = [name for name in FIELDS if name in cleaned
                   and cleaned[name] != getattr(row, name)]  # fmt: skip
        if not changed:
            return row
        for name in changed:
            setattr(row, name, cleaned[name])
        if "is_enabled" in changed:
            _set_disabled_reason(row)
            row.cursor, row.failing_since = audit_head(), None
        if {"is_enabled", "url"} & set(changed):
            row.paused_until = None
        row.save(update_fields=[*changed, "disabled_reason", "cursor", "failing_since",
                                "paused_until"])  # fmt: skip
        if not row.is_enabled:
            give_up_waiting(row)
        _record("webhook:endpoint:change", actor, row, fields=changed)
    return row


def delete_endpoint(*, actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Delete an endpoint with its deliveries. Raises Forbidden, NotFound."""
    _require_owner(actor)
    with transaction.atomic():
        row = locked(endpoint)
        key = row.pk
        row.delete()
        row.pk = key
        _record("webhook:endpoint:delete", actor, row)


def rotate_secret(
    *,
    actor: Actor,
    endpoint: WebhookEndpoint,
    overlap: timedelta = OVERLAP,
    known_secret: str = "",
) -> IssuedEndpoint:
    """Replace the secret. Until the end of `overlap` deliveries carry both signatures.

    overlap: zero if the old secret has become known. known_secret: the new one, if it was made
    elsewhere. Raises Forbidden, NotFound, RecordInvalid.
    """
    _require_owner(actor)
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise RecordInvalid({"overlap_hours": [_("Choose between 0 and 168 hours.")]})
    with transaction.atomic():
        row = locked(endpoint)
        now = timezone.now()
        secret = _usable_secret(known_secret) if known_secret else make_secret()
        row.sealed_previous_secret, row.previous_secret_until = "", None
        if overlap:
            # Bound to its column, so that it is encrypted anew.
            old = decrypt(row.sealed_secret, _associated_data(row, "sealed_secret"))
            row.sealed_previous_secret = encrypt(
                old, _associated_data(row, "sealed_previous_secret")
            )
            row.previous_secret_until = now + overlap
        row.sealed_secret = encrypt(secret, _associated_data(row, "sealed_secret"))
        row.save(update_fields=["sealed_secret", "sealed_previous_secret", "previous_secret_until"])
        hours = overlap // timedelta(hours=1)
        _record("webhook:endpoint:rotate", actor, row, overlap_hours=hours)
    return IssuedEndpoint(row, secret)


def has_secret(row: WebhookEndpoint, text: str) -> bool:
    """Whether this is the newest secret of the endpoint. Raises DecryptionError, RecordInvalid."""
    return hmac.compare_digest(secrets_of(row)[0], _usable_secret(text))


def secrets_of(row: WebhookEndpoint) -> list[str]:
    """The secrets that sign now, the newest first. Raises DecryptionError."""
    found = [decrypt(row.sealed_secret, _associated_data(row, "sealed_secret"))]
    if row.has_previous_secret(timezone.now()):
        found.append(
            decrypt(row.sealed_previous_secret, _associated_data(row, "sealed_previous_secret"))
        )
    return found


def clean_values(typed: Mapping[str, Any]) -> dict[str, Any]:
    """The values to store. Raises RecordInvalid with every error."""
    cleaned, errors = clean_each(typed, _CLEANERS)
    if errors:
        raise RecordInvalid(errors)
    return cleaned


def locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The current row, locked: the first lock of its transaction. Raises NotFound."""
    rows = WebhookEndpoint.objects.select_for_update()
    found = rows.filter(pk=endpoint.pk).first()
    if found is None:
        raise NotFound(_("This webhook does not exist any more."))
    return found


def give_up_waiting(row: WebhookEndpoint) -> None:
    """End the waiting deliveries of an endpoint that is disabled; they can be sent again."""
    waiting = WebhookDelivery.objects.filter(endpoint=row, status=Status.QUEUED)
    waiting.update(status=Status.FAILED, last_error=_("The webhook was disabled."))


def audit_head() -> int:
    """The number of the newest event of the audit log."""
    found = NamedLock.objects.filter(pk=AUDIT).values_list("seq", flat=True).first()
    return found or 0


def require_admin(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an administrator."""
    if Role(actor.role) not in ADMIN_ROLES:
        raise Forbidden


def drop_deliveries() -> int:
    """After a restore: nothing that was waiting when the backup was made is sent. Returns a count.

    It was sent since the backup, or tells of what the restored data no longer contains.
    """
    WebhookEndpoint.objects.update(cursor=audit_head(), paused_until=None)
    NoticeChoice.objects.update(cursor=audit_head())
    waiting = WebhookDelivery.objects.filter(status__in=[Status.QUEUED, Status.SENDING])
    reason = _("The data was restored from a backup.")
    return waiting.update(status=Status.FAILED, lease_until=None, last_error=reason)


def _require_owner(actor: Actor) -> None:
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners change webhooks."))


def _usable_secret(text: str) -> str:
    """Raises RecordInvalid, without the text, for a secret that nobody could sign with."""
    try:
        return secret_of(text)
    except ValueError:
        problem = _("Choose a secret of 24 to 64 bytes in base64, which may begin with whsec_.")
        raise RecordInvalid({"secret": [problem]}) from None


def _record(action: str, actor: Actor, row: WebhookEndpoint, **detail: Any) -> None:
    audit_log.record(
        action, actor=actor, target=row, name=row.name, host=host_of(row.url), **detail
    )


def _set_disabled_reason(row: WebhookEndpoint) -> None:
    row.disabled_reason = "" if row.is_enabled else Reason.BY_HAND


def _clean_name(text: str) -> str:
    name = clean_name(text)
    if not 1 <= len(name) <= NAME_MAX_LENGTH:
        raise ValueError(
            _("Enter a name of at most %(count)d characters.") % {"count": NAME_MAX_LENGTH}
        )
    return name


def _clean_types(names: list[str]) -> list[str]:
    """The types in the order of the table; all of them and none mean the same."""
    unknown = sorted(set(names) - TYPES.keys())
    if unknown:
        raise ValueError(_("There is no event type “%(name)s”.") % {"name": unknown[0][:60]})
    return [] if set(names) == TYPES.keys() else [name for name in TYPES if name in names]


def _associated_data(row: WebhookEndpoint, column: str) -> str:
    return f"webhookendpoint.{column}:{row.pk}"


_CLEANERS: dict[str, Any] = {
    "name": _clean_name,
    "url": lambda text: clean_url(text, settings.WEBHOOK_ALLOWED_NETWORKS),
    "event_types": _clean_types,
}
