"""Storing an act that needs a second owner as a request, and telling the other owners."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.actors import Actor
from accounts.models import ApprovalRequest, User
from accounts.roles import Role
from accounts.services.approvals.acts import Act
from accounts.services.approvals.parameters import encode
from accounts.services.approvals.targets import seen_of
from audit import audit_log
from core.locks import ROLES, acquire_lock, lock_users
from core.text.email_addresses import is_placeholder
from mail.outbox import draft_mail, enqueue

State = ApprovalRequest.State
# How long a request waits for a second owner.
LIFETIME = timedelta(hours=24)


class Held(Exception):
    """An act that needs a second owner, on its way out of the transaction of its service.

    target: None for an account that does not exist yet. act, arguments: of the outermost decorated
    service that it has passed; arguments without the actor.
    """

    def __init__(self, actor: User, target: User | None, *, raises_power: bool) -> None:
        super().__init__("outside of needs_second_owner() and recording()")
        self.actor, self.target, self.raises_power = actor, target, raises_power
        self.act: Act | None = None
        self.arguments: dict[str, Any] = {}


def other_owners(*but: Actor | None) -> list[User]:
    """The owners who may act now, without these users, in the order of their accounts."""
    keys = [each.pk for each in but if each is not None]
    owners = User.objects.people().filter(role=Role.OWNER, is_active=True).exclude(pk__in=keys)
    # The role again, because one that has ended is still stored; see User.from_db().
    return [
        each
        for each in owners.order_by("pk")
        if each.role == Role.OWNER and access_policy.may_act(each)
    ]


def ask(held: Held) -> ApprovalRequest:
    """Store what was held, with its audit row and a mail to each other owner.

    The same act of the same owner, while it waits, is one request: a double click asks once. Raises
    what the access policy raises if the owner has lost their access meanwhile.
    """
    if held.act is None:
        raise held
    kind, now = held.act.kind, timezone.now()
    parameters = encode(held.arguments, held.act.secrets)
    with transaction.atomic():
        owners = User.objects.filter(role=Role.OWNER).values_list("pk", flat=True)
        lock_users(held.actor.pk, None if held.target is None else held.target.pk, *owners)
        acquire_lock(ROLES)
        target = None if held.target is None else User.objects.filter(pk=held.target.pk).first()
        same = ApprovalRequest.objects.filter(
            kind=kind, target=target, asked_by_id=held.actor.pk, state=State.OPEN
        ).filter(expires_at__gt=now)
        for waiting in same:
            if waiting.parameters == parameters:
                return waiting
        row = ApprovalRequest.objects.create(
            kind=kind,
            target=target,
            parameters=parameters,
            seen=seen_of(target),
            raises_power=held.raises_power or held.act.raises_power(target, held.arguments),
            asked_by_id=held.actor.pk,
            asked_at=now,
            expires_at=now + LIFETIME,
        )
        _tell(row, held.act, held.actor)
        record(row, "ask", held.actor)
    return row


def record(row: ApprovalRequest, what: str, actor: Actor | None, **detail: Any) -> None:
    """Write the audit row of a request. Call it last, in the transaction of the change."""
    audit_log.record(
        f"account:approval:{what}",
        actor=actor,
        target=None if row.target_id is None else User(pk=row.target_id),
        approval=str(row.pk),
        act=row.kind,
        **detail,
    )


def may_decide(row: ApprovalRequest, owner: User) -> bool:
    """Whether this owner may confirm the request: not who asked, nor who would gain by it."""
    is_gaining = row.raises_power and owner.pk == row.target_id
    return owner.role == Role.OWNER and owner.pk != row.asked_by_id and not is_gaining


def deciders(row: ApprovalRequest) -> list[User]:
    """The owners who may confirm the request now."""
    return [each for each in other_owners() if may_decide(row, each)]


def path_of(row: ApprovalRequest) -> str:
    """The path of the page of a request."""
    return reverse("admin:accounts_approvalrequest_change", args=[row.pk])


def url_of(row: ApprovalRequest) -> str:
    """The whole address of that page."""
    return f"{settings.PUBLIC_ORIGIN}{path_of(row)}"


def name_of(row: ApprovalRequest) -> str:
    """Whom the request is about: "Nina Berg (nina@example.com)", or an address without account."""
    if row.target is not None and row.target.name:
        return f"{row.target.name} ({row.target.email})"
    if row.target is not None:
        return str(row.target.email)
    return str(row.parameters.get("email") or _("a deleted account"))


def _tell(row: ApprovalRequest, act: Act, asker: User) -> None:
    context = {
        "asker": asker.get_full_name(),
        "does": act.does,
        "name": name_of(row),
        "until": row.expires_at,
        "url": url_of(row),
    }
    mails = [
        draft_mail(
            kind="approval-asked",
            recipient=owner.email,
            user=owner,
            context=context,
            expires_at=row.expires_at,
        )
        for owner in deciders(row)
        if not is_placeholder(owner.email)
    ]
    enqueue(mails)
