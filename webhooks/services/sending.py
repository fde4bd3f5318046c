"""Sends deliveries: the job of the worker, test events, and sending again.

A delivery is tried up to MAX_ATTEMPTS times over about a day. 2xx is success. 410 disables the
endpoint, and so does DISABLE_AFTER without any success. The order of events is not kept, and a
delivery may arrive twice: receivers drop duplicates by the header webhook-id.
"""

import logging
import socket
import ssl
import time
import uuid
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import SYSTEM, Actor
from audit import audit_log
from core.crypto.encryption import DecryptionError
from core.errors import RecordInvalid
from core.http import FetchError, send_guarded
from core.http.guarded import AddressRefused, is_allowed
from core.locks import delete_free
from core.metrics import COUNTERS
from core.queue import Backoff, claim_next, one_line, release
from core.version import VERSION
from webhooks import events
from webhooks.endpoint_url import host_of
from webhooks.models import RESPONSE_MAX_LENGTH, WebhookDelivery, WebhookEndpoint
from webhooks.services.derivation import derive_deliveries
from webhooks.services.endpoints import give_up_waiting, locked, require_admin, secrets_of
from webhooks.signals import delivery_queued
from webhooks.signing import PREFIX, signature_headers

logger = logging.getLogger("gatehouse.webhooks")
Status, Reason = WebhookDelivery.Status, WebhookEndpoint.DisabledReason
# An exchange takes at most SECONDS for the headers and the same again for the answer's beginning.
SECONDS, LEASE = 10.0, timedelta(seconds=60)
# The maximum time of a run; the next one continues.
RUN_SECONDS = 20.0
BACKOFF = Backoff(first=timedelta(seconds=30), longest=timedelta(hours=6))
MAX_ATTEMPTS = 13
# After a failure without an answer, the next attempt for the same endpoint.
PAUSE, MAX_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
DISABLE_AFTER = timedelta(days=5)
GONE, BUSY = 410, (408, 425, 429, 500, 502, 503, 504)
HIDDEN = "•••"


class Outcome(NamedTuple):
    """The result of one attempt. status: of the answer; None if none came, and `error` says why."""

    status: int | None = None
    response: str = ""
    error: str = ""
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def deliver_due(limit: int = 200) -> int:
    """Worker job: derive deliveries, and try those that are due; returns how many were delivered.

    Several processes may run it at once; see core.queue.
    """
    derive_deliveries()
    delivered, end = 0, time.monotonic() + RUN_SECONDS
    for _turn in range(limit):
        row = claim_next(_sendable(), LEASE)
        if row is None:
            break
        delivered += _deliver(row)
        if time.monotonic() >= end:
            break
    return delivered


def send_test(*, actor: Actor, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Queue a test event, whatever types the endpoint has. Raises Forbidden, RecordInvalid."""
    require_admin(actor)
    identifier = f"evt_{uuid.uuid4().hex}"
    body = events.body(identifier, events.TEST, timezone.now(), {"endpoint_id": str(endpoint.pk)})
    return _enqueue(
        "webhook:endpoint:test",
        actor,
        WebhookDelivery(
            endpoint=endpoint, event_id=identifier, event_type=events.TEST, payload=body
        ),
    )


def resend(*, actor: Actor, delivery: WebhookDelivery) -> WebhookDelivery:
    """Queue the event of a delivery again, with the same id. Raises Forbidden, RecordInvalid."""
    require_admin(actor)
    if not delivery.payload:
        raise RecordInvalid(
            {"delivery": [_("This event was erased, because its account was deleted.")]}
        )
    return _enqueue(
        "webhook:delivery:resend",
        actor,
        WebhookDelivery(
            endpoint=delivery.endpoint,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            payload=delivery.payload,
            user_id=delivery.user_id,
        ),
    )


def purge_deliveries(before: datetime) -> int:
    """Delete finished deliveries created before `before`; returns how many."""
    done = [Status.DELIVERED, Status.FAILED]
    return delete_free(WebhookDelivery.objects.filter(created_at__lt=before, status__in=done))


def failing_endpoints() -> "QuerySet[WebhookEndpoint]":
    """Endpoints that need attention: failing, or disabled by Gatehouse."""
    broken = Q(is_enabled=True, failing_since__isnull=False) | Q(
        is_enabled=False, disabled_reason__in=[Reason.GONE, Reason.FAILING]
    )
    return WebhookEndpoint.objects.filter(broken)


def _enqueue(action: str, actor: Actor, delivery: WebhookDelivery) -> WebhookDelivery:
    """Save a delivery unless the same event, or another test, waits for the same endpoint."""
    with transaction.atomic():
        endpoint = locked(delivery.endpoint)
        if not endpoint.is_enabled:
            raise RecordInvalid({"webhook": [_("Enable the webhook first.")]})
        same = (
            {"event_type": events.TEST}
            if delivery.event_type == events.TEST
            else {"event_id": delivery.event_id}
        )
        waiting = [Status.QUEUED, Status.SENDING]
        if WebhookDelivery.objects.filter(endpoint=endpoint, status__in=waiting, **same).exists():
            raise RecordInvalid({"delivery": [_("This event is already waiting to be sent.")]})
        delivery.save(force_insert=True)
        # A person waits for it.
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(paused_until=None)
        audit_log.record(
            action,
            actor=actor,
            target=endpoint,
            name=endpoint.name,
            host=host_of(endpoint.url),
            event=delivery.event_id,
            type=delivery.event_type,
        )
        transaction.on_commit(lambda: delivery_queued.send(sender=WebhookDelivery))
    return delivery


def _sendable() -> "QuerySet[WebhookDelivery]":
    free = Q(endpoint__paused_until=None) | Q(endpoint__paused_until__lte=timezone.now())
    return WebhookDelivery.objects.filter(free, endpoint__is_enabled=True)


def _deliver(row: WebhookDelivery) -> bool:
    endpoint = WebhookEndpoint.objects.filter(pk=row.endpoint_id, is_enabled=True).first()
    if endpoint is None:
        release(row, status=Status.FAILED, last_error=_("The webhook was disabled."))
        _count("failed")
        return False
    if row.status == Status.SENDING and row.attempts > MAX_ATTEMPTS:
        release(
            row, status=Status.FAILED, last_error=_("The process that sent it ended each time.")
        )
        _count("failed")
        return False
    outcome = _attempt(endpoint, row)
    if outcome.is_success:
        _note_success(endpoint, row, outcome)
    else:
        _note_failure(endpoint, row, outcome)
    return outcome.is_success


def _attempt(endpoint: WebhookEndpoint, row: WebhookDelivery) -> Outcome:
    """Send once. Raises nothing: each failure is an outcome."""
    try:
        found = secrets_of(endpoint)
    except DecryptionError:
        return Outcome(
            error=_("The secret cannot be read: ENCRYPTION_KEY has changed. Rotate the secret.")
        )
    headers = signature_headers(found, webhook_id=row.event_id, at=timezone.now(), body=row.payload)
    try:
        answer = send_guarded(
            endpoint.url,
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"Gatehouse/{VERSION} (webhooks)",
                **headers,
            },
            data=row.payload.encode(),
            allowed=settings.WEBHOOK_ALLOWED_NETWORKS,
            seconds=SECONDS,
            max_bytes=RESPONSE_MAX_LENGTH * 2,
        )
    except FetchError as error:
        return Outcome(error=_explain(error, endpoint))
    except Exception as error:
        # The text of an unexpected error may contain headers.
        logger.exception("an unexpected error while sending a webhook")
        text = _("Unexpected error: %(error)s. The log of the server says where.")
        return Outcome(error=text % {"error": type(error).__name__})
    hidden = [*found, headers["webhook-signature"], *headers["webhook-signature"].split()]
    return Outcome(
        answer.status,
        _excerpt(answer.body, hidden),
        retry_after=_retry_after(answer.headers.get("Retry-After")),
    )


def _count(result: str) -> None:
    """For /metrics. result: delivered, retried (it is sent again later) or failed (given up)."""
    COUNTERS.add("webhooks", result)


def _note_success(endpoint: WebhookEndpoint, row: WebhookDelivery, outcome: Outcome) -> None:
    now = timezone.now()
    release(
        row,
        status=Status.DELIVERED,
        delivered_at=now,
        response_status=outcome.status,
        response=outcome.response,
        last_error="",
    )
    _count("delivered")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        last_success_at=now, failing_since=None, paused_until=None
    )


def _note_failure(endpoint: WebhookEndpoint, row: WebhookDelivery, outcome: Outcome) -> None:
    """Queue the delivery again, or give up; disable the endpoint if it is time."""
    logger.warning(
        "a webhook was not delivered",
        extra={"delivery": str(row.pk), "status": outcome.status, "reason": outcome.error},
    )
    now = timezone.now()
    changes: dict[str, Any] = {
        "response_status": outcome.status,
        "response": outcome.response,
        "last_error": outcome.error,
    }
    if outcome.status == GONE or row.attempts >= MAX_ATTEMPTS:
        changes["status"] = Status.FAILED
    else:
        changes["status"] = Status.QUEUED
        changes["next_attempt_at"] = now + BACKOFF.delay(row.attempts, outcome.retry_after)
    with transaction.atomic():
        current = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk).first()
        if current is None or not release(row, **changes):
            return  # deleted, or taken over by another process
        _count("failed" if changes["status"] == Status.FAILED else "retried")
        if current.is_enabled:
            _note_endpoint_failure(current, outcome, now)


def _note_endpoint_failure(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> None:
    """Pause a receiver that does not answer, or disable it. Its row is locked."""
    since = endpoint.failing_since or now
    endpoint.failing_since = since
    if outcome.status is None or outcome.status in BUSY:
        wanted = outcome.retry_after or timedelta()
        endpoint.paused_until = now + max(PAUSE, min(wanted, MAX_PAUSE))
    if outcome.status == GONE:
        endpoint.disabled_reason = Reason.GONE
    elif now - since >= DISABLE_AFTER:
        endpoint.disabled_reason = Reason.FAILING
    endpoint.is_enabled = not endpoint.disabled_reason
    endpoint.save(update_fields=["failing_since", "paused_until", "disabled_reason", "is_enabled"])
    if not endpoint.is_enabled:
        give_up_waiting(endpoint)
        audit_log.record(
            "webhook:endpoint:disable",
            actor=SYSTEM,
            target=endpoint,
            name=endpoint.name,
            host=host_of(endpoint.url),
            reason=f"webhook_{endpoint.disabled_reason}",
        )


def _explain(error: FetchError, endpoint: WebhookEndpoint) -> str:
    """Why no answer came, and what to do, in one line."""
    cause = error.__cause__
    match cause:
        case AddressRefused():
            return _refusal(cause.address, endpoint.url)
        case TimeoutError():
            return _("No answer within %(seconds)d seconds.") % {"seconds": SECONDS}
        case socket.gaierror():
            return _("The name of the host cannot be resolved.")
        case ConnectionRefusedError():
            return _("The connection was refused.")
        case ssl.SSLCertVerificationError():
            reason = _("The certificate is not valid: %(reason)s")
            return one_line(reason % {"reason": cause.verify_message})
    return one_line(str(error))


def _refusal(address: str, url: str) -> str:
    if url.startswith("http:") and is_allowed(ip_address(address), ()):
        return _("http reaches only the networks in WEBHOOK_ALLOWED_NETWORKS. Use https://.")
    text = _(
        "%(address)s is not a public address. To allow it, add its network to "
        "WEBHOOK_ALLOWED_NETWORKS."
    )
    return one_line(text % {"address": address})


def _excerpt(body: bytes, hidden: list[str]) -> str:
    """The beginning of an answer as text, without the secrets and signatures it may repeat."""
    text = body.decode("utf-8", "replace")
    for secret in hidden:
        text = text.replace(secret, HIDDEN).replace(secret.removeprefix(PREFIX), HIDDEN)
    lines = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return lines.strip()[:RESPONSE_MAX_LENGTH]


def _retry_after(text: str | None) -> timedelta | None:
    """The header Retry-After: seconds, or a date (RFC 9110, section 10.2.3)."""
    if not text:
        return None
    plain = text.strip()
    if plain.isascii() and plain.isdigit():
        return timedelta(seconds=min(int(plain[:9]), 10**8))
    try:
        at = parsedate_to_datetime(plain)
        left = at - timezone.now()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(left, timedelta())
