"""Deciding about requests for a second owner. Each is decided once.

A confirmation and what it carries out are one transaction: under the locks of the account, of who
asked and of who confirms, and of the roles, everything is checked as it is then.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import access_policy
from accounts.models import ApprovalRequest, User
from accounts.roles import Role
from accounts.services.approvals.acts import Line
from accounts.services.approvals.asking import Held, State, may_decide, name_of, record
from accounts.services.approvals.parameters import decode
from accounts.services.approvals.rule import Service, passing, service_of
from accounts.services.approvals.targets import seen_of
from audit import audit_log
from core.errors import Forbidden, GatehouseError, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock, delete_free, lock_users

REASON_MAX_LENGTH = 500
# How long decided requests stay visible.
KEEP = timedelta(days=90)


class RequestClosed(GatehouseError):
    """The request was decided before, or it cannot be carried out as it was asked for."""

    code = "request_closed"
    status = 409
    title = gettext_lazy("This request is closed")

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Shown(NamedTuple):
    """A request for people. consequence: what follows; lines: the changes in detail."""

    does: str
    consequence: str
    lines: list[Line]


class Confirmed(NamedTuple):
    """A request that was carried out, and what its service has returned."""

    request: ApprovalRequest
    result: Any


def all_requests() -> "QuerySet[ApprovalRequest]":
    """Every request with its people, newest first."""
    rows = ApprovalRequest.objects.select_related("target", "asked_by", "decided_by")
    return rows.order_by("-pk")


def open_requests(now: datetime) -> "QuerySet[ApprovalRequest]":
    """The requests that wait for a second owner."""
    return all_requests().filter(state=State.OPEN, expires_at__gt=now)


def find_request(key: UUID) -> ApprovalRequest:
    """One request. Raises NotFound."""
    found = all_requests().filter(pk=key).first()
    if found is None:
        raise NotFound
    return found


def shown(row: ApprovalRequest) -> Shown:
    """What the request asks for, with the present state of the account."""
    service, name = service_of(row.kind), {"name": name_of(row)}
    if service is None:
        return Shown(row.kind, "", [])
    act = service.act
    consequence = (row.raises_power and act.gives_consequence) or act.consequence
    try:
        lines = act.lines(row.target, decode(row.parameters, service.types))
    except RecordInvalid:
        lines = []
    return Shown(str(act.does) % name, str(consequence) % name, lines)


def confirm(*, actor: User, request_id: UUID) -> Confirmed:
    """Carry out the request, with the owner who asked as actor and `actor` as second owner.

    The audit rows of the change name both. Raises Forbidden for whoever asked and for a person who
    would get more power; NotFound; RequestClosed for a request that is decided, has expired, or
    cannot be carried out any more: it is closed then, and nothing else has changed.
    """
    with transaction.atomic():
        row = _lock(actor, request_id)
        service = service_of(row.kind)
        problem = _problem(row, service)
        result: Any = None
        if service is not None and not problem:
            result, problem = _run(row, service, actor)
        _close(row, actor, State.REFUSED if problem else State.CONFIRMED, problem)
    if problem:
        raise RequestClosed(problem)
    return Confirmed(row, result() if callable(result) else result)


def decline(*, actor: User, request_id: UUID) -> ApprovalRequest:
    """Close the request without carrying it out. Raises as confirm() does."""
    with transaction.atomic():
        row = _lock(actor, request_id)
        _close(row, actor, State.DECLINED)
    return row


def withdraw(*, actor: User, request_id: UUID) -> ApprovalRequest:
    """Take back one's own request. Raises Forbidden for others, NotFound, RequestClosed."""
    with transaction.atomic():
        row = _lock(actor, request_id, is_own=True)
        _close(row, actor, State.WITHDRAWN)
    return row


def expire_requests() -> int:
    """Worker job: write down which requests nobody decided in time; returns how many."""
    due = ApprovalRequest.objects.filter(state=State.OPEN, expires_at__lte=timezone.now())
    return sum(_expire(row) for row in due)


def purge_requests(now: datetime) -> int:
    """Delete requests that were decided, or expired, longer ago than KEEP; returns how many."""
    old = ApprovalRequest.objects.exclude(state=State.OPEN).filter(expires_at__lt=now - KEEP)
    return delete_free(old)


def _lock(actor: User, key: UUID, *, is_own: bool = False) -> ApprovalRequest:
    """The open request, with its people and the roles locked. Raises as confirm() does."""
    row = find_request(key)
    lock_users(actor.pk, row.asked_by_id, row.target_id)
    acquire_lock(ROLES)
    access_policy.require_unchanged(actor)
    row = find_request(key)
    if actor.role != Role.OWNER:
        raise Forbidden
    if is_own:
        if actor.pk != row.asked_by_id:
            raise Forbidden(_("Only the owner who asked may withdraw the request."))
    elif actor.pk == row.asked_by_id:
        raise Forbidden(_("You asked for this. Another owner must decide about it."))
    elif not may_decide(row, actor):
        raise Forbidden(_("Another owner must decide about it, because it gives you more power."))
    if row.state_now(timezone.now()) != State.OPEN:
        raise RequestClosed(_closed_text(row))
    return row


def _closed_text(row: ApprovalRequest) -> str:
    state = State(row.state_now(timezone.now())).label
    return _("This request is closed: %(state)s.") % {"state": state}


def _problem(row: ApprovalRequest, service: Service | None) -> str:
    """Why the request cannot be carried out as things are now; "" if it can be."""
    if service is None:
        return _("This version does not know what was asked for.")
    asker = row.asked_by
    if asker is None or asker.role != Role.OWNER or not access_policy.may_act(asker):
        return _("Who asked for it is not an active owner any more.")
    if row.seen and row.target is None:
        return _("The account does not exist any more.")
    if seen_of(row.target) != row.seen:
        return _("The account has changed since. Look at it, and ask again.")
    return ""


def _run(row: ApprovalRequest, service: Service, confirmer: User) -> tuple[Any, str]:
    """(what the service returned, ""), or (None, why it refused); then it changed nothing."""
    details: Mapping[str, Any] = {"approval": str(row.pk), "confirmed_by": str(confirmer.pk)}
    try:
        arguments = decode(row.parameters, service.types)
        with transaction.atomic(), passing(row.target_id), audit_log.adding(details):
            return service.run(actor=row.asked_by, **arguments), ""
    except GatehouseError as error:
        return None, error.sentences
    except Held:
        return None, _("It also concerns another owner. Ask for that on its own.")


def _close(row: ApprovalRequest, actor: User | None, state: State, reason: str = "") -> None:
    """Write the decision and its audit row."""
    # An owner who confirms that their own account is deleted is gone by now.
    is_there = actor is not None and User.objects.filter(pk=actor.pk).exists()
    row.state, row.decided_by, row.decided_at = state, actor if is_there else None, timezone.now()
    row.reason = reason[:REASON_MAX_LENGTH]
    ApprovalRequest.objects.filter(pk=row.pk).update(
        state=row.state, decided_by=row.decided_by, decided_at=row.decided_at, reason=row.reason
    )
    result = "refused" if state == State.REFUSED else "success"
    more = {"reason": row.reason} if reason else {}
    record(row, _ACTIONS[state], actor, result=result, **more)


_ACTIONS = {
    State.CONFIRMED: "confirm",
    State.DECLINED: "decline",
    State.WITHDRAWN: "withdraw",
    State.REFUSED: "refuse",
    State.EXPIRED: "expire",
}


def _expire(row: ApprovalRequest) -> int:
    with transaction.atomic():
        lock_users(row.asked_by_id, row.target_id)
        acquire_lock(ROLES)
        current = all_requests().filter(pk=row.pk, state=State.OPEN).first()
        if current is None:
            return 0
        _close(current, None, State.EXPIRED)
    return 1
