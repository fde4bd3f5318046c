"""Writes deliveries from the audit log, which is the queue of events.

An audit event is written in the transaction of its action. The head of the chain is locked until
that transaction ends, so events become visible in the order of their numbers, without gaps. Each
endpoint remembers the last number that it has seen, and reads on from there: every event becomes
exactly one delivery, and an action costs nothing more, whether or not there are webhooks.
"""

import json
import uuid
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from rest_framework.renderers import JSONRenderer

from accounts.models import User
from accounts.services.groups.reading import load_groups
from api.serializers import UserRecord, record
from audit.models import AuditEvent
from core import sql
from core.locks import AUDIT
from core.models import NamedLock
from webhooks import events
from webhooks.models import WebhookDelivery, WebhookEndpoint

BATCH, MAX_BATCHES = 500, 200


def derive_deliveries() -> int:
    """Write a delivery for each new event, for every enabled endpoint; returns how many.

    Several processes may run it at once: the lock of the endpoint decides which one reads on. One
    query if there is nothing to do.
    """
    head = NamedLock.objects.filter(pk=AUDIT).values("seq")[:1]
    behind = WebhookEndpoint.objects.filter(is_enabled=True, cursor__lt=Subquery(head))
    return sum(_read_on(key) for key in behind.values_list("pk", flat=True))


def erase_payloads() -> int:
    """Erase what was sent about accounts that are deleted by now; returns how many."""
    done = [WebhookDelivery.Status.DELIVERED, WebhookDelivery.Status.FAILED]
    accounts = User.all_objects.filter(pk=OuterRef("user_id")).values("pk")[:1]
    about = WebhookDelivery.objects.filter(status__in=done, user_id__isnull=False)
    gone = about.exclude(payload="").annotate(account=Subquery(accounts)).filter(account=None)
    keys = list(gone.values_list("pk", flat=True)[:BATCH])
    return WebhookDelivery.objects.filter(pk__in=keys).update(payload="", response="")


def _read_on(key: uuid.UUID) -> int:
    written = 0
    for _batch in range(MAX_BATCHES):
        with transaction.atomic():
            endpoints = WebhookEndpoint.objects.select_for_update(skip_locked=True)
            endpoint = endpoints.filter(pk=key, is_enabled=True).first()
            if endpoint is None:
                break
            found = list(AuditEvent.objects.filter(seq__gt=endpoint.cursor).order_by("seq")[:BATCH])
            if not found:
                break
            drafts = _drafts(endpoint, found)
            sql.insert(drafts)
            WebhookEndpoint.objects.filter(pk=key).update(cursor=found[-1].seq)
        written += len(drafts)
    return written


def _drafts(endpoint: WebhookEndpoint, found: Collection[AuditEvent]) -> list[WebhookDelivery]:
    wanted = [
        (row, kind)
        for row in found
        if (kind := events.event_type(row.action, row.result)) is not None
        and (not endpoint.event_types or kind.name in endpoint.event_types)
    ]
    users = _users({row.target_id for row, _kind in wanted if row.target_id is not None})
    return [
        WebhookDelivery(
            endpoint=endpoint,
            event_id=events.event_id(row),
            event_type=kind.name,
            payload=events.payload(row, kind, users.get(row.target_id)),
            user_id=row.target_id if row.target_id in users else None,
        )
        for row, kind in wanted
    ]


def _users(keys: Collection[uuid.UUID]) -> dict[uuid.UUID | None, dict[str, Any]]:
    """The records of users, as the API shows them."""
    found = User.objects.in_bulk(list(keys)) if keys else {}
    load_groups(found.values())
    return {
        key: json.loads(JSONRenderer().render(record(UserRecord, user)))
        for key, user in found.items()
    }
