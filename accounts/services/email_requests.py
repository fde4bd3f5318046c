"""Requests for mail to a typed address: the page stores them, and the worker handles them.

The page responds before anything looks up the account, so neither its content nor its timing
reveals whether one exists (ASVS 6.3.8, CVE-2024-45231).
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils.translation import get_language

from accounts.models import EmailRequest
from accounts.signals import address_requested
from core import sql
from core.crypto.encryption import decrypt, encrypt
from core.web.request_context import RequestContext, get_request_context, use_context

logger = logging.getLogger("gatehouse.requests")
Kind = EmailRequest.Kind
Handler = Callable[[EmailRequest, dict[str, Any]], None]
BatchHandler = Callable[[list[EmailRequest]], None]
BATCH = 50


def enqueue_request(
    kind: Kind,
    *,
    email: str,
    binding: str,
    next_url: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write down that this caller asks for mail of `kind` to `email` (a parsed address).

    binding: digest of the asking browser's cookie. details: stored encrypted. Sends nothing itself.
    """
    context = get_request_context()
    with transaction.atomic():
        row = EmailRequest(
            kind=kind,
            email=email,
            binding=binding,
            language=get_language() or "en",
            ip=context.ip,
            request_id=context.request_id,
            next_url=next_url,
        )
        if details:
            row.sealed_details = encrypt(json.dumps(details), _associated_data(row))
        sql.insert([row])
        transaction.on_commit(lambda: address_requested.send(sender=EmailRequest, kind=kind))


def handle_next(kind: Kind, handler: Handler) -> bool:
    """Handle the oldest request in one transaction; False if there is none.

    A request whose handler fails is deleted with a logged error, so that it cannot block the rest.
    After a database error it stays, and OperationalError or InterfaceError is raised.
    """
    row = EmailRequest.objects.filter(kind=kind).order_by("id").first()
    if row is None:
        return False
    with use_context(context_of(row)):
        try:
            with transaction.atomic():
                if _take(row):
                    handler(row, _details(row))
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("a request for mail could not be handled", extra={"kind": kind})
            _take(row)
    return True


def handle_each(kind: Kind, handler: Handler) -> int:
    """Handle all requests of `kind`, each in a transaction of its own; returns how many."""
    count = 0
    while handle_next(kind, handler):
        count += 1
    return count


def handle_all(kind: Kind, handle: BatchHandler) -> int:
    """Handle all requests of `kind`, many in one transaction; returns how many.

    If a batch fails, its requests are handled one by one; see handle_next().
    """
    count = 0
    while done := _handle_batch(kind, handle):
        count += done
    return count


def _handle_batch(kind: Kind, handle: BatchHandler) -> int:
    try:
        with transaction.atomic():
            waiting = EmailRequest.objects.filter(kind=kind).order_by("id")
            batch = list(waiting.select_for_update(skip_locked=True)[:BATCH])
            if not batch:
                return 0
            EmailRequest.objects.filter(pk__in=[row.pk for row in batch]).delete()
            handle(batch)
        return len(batch)
    except Exception:
        logger.exception("a batch of requests failed; trying one by one", extra={"kind": kind})
        return handle_each(kind, lambda row, _details: handle([row]))


def context_of(row: EmailRequest) -> RequestContext:
    """Who asked, for the audit log."""
    return RequestContext(ip=row.ip, request_id=row.request_id, channel="worker")


def _take(row: EmailRequest) -> bool:
    return EmailRequest.objects.filter(pk=row.pk).delete()[0] == 1


def _details(row: EmailRequest) -> dict[str, Any]:
    if not row.sealed_details:
        return {}
    details: dict[str, Any] = json.loads(decrypt(row.sealed_details, _associated_data(row)))
    return details


def _associated_data(row: EmailRequest) -> str:
    return f"address_request.sealed_details:{row.pk}"
