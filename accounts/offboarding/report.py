"""The report of an offboarding: what there was, and how each kind was refused.

It is stored as one event of the audit log, so no one can change it later without breaking the
chain, and it outlives the account.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from accounts.offboarding.credential_kinds import credential_kinds
from audit.models import AuditEvent

VERIFIED = "account:offboarding:verify"


@dataclass(frozen=True, slots=True)
class KindResult:
    """One kind of credential.

    count: how many there were when the offboarding began. probed: how many of them were tried
    afterwards; accepted: how many of those were still accepted. milliseconds: from the beginning
    until the last one was refused, or until the last attempt. reasons: code -> how many were
    refused for it. limits: what cannot be ended from here.
    """

    name: str
    label: str
    count: int
    probed: int
    accepted: int
    milliseconds: int
    reasons: Mapping[str, int]
    limits: str = ""

    @property
    def refused(self) -> int:
        return self.probed - self.accepted


@dataclass(frozen=True, slots=True)
class Report:
    """number: of the event in the audit log. email, actor: None for an account that is gone."""

    number: int
    user_id: uuid.UUID
    email: str | None
    actor_id: uuid.UUID | None
    actor: str | None
    at: datetime
    was_disabled: bool
    kinds: tuple[KindResult, ...]

    @property
    def is_proved(self) -> bool:
        """Whether everything that was tried is refused."""
        return not self.accepted

    @property
    def accepted(self) -> list[KindResult]:
        """The kinds of which something is still accepted."""
        return [kind for kind in self.kinds if kind.accepted]

    @property
    def count(self) -> int:
        """How many credentials there were."""
        return sum(kind.count for kind in self.kinds)

    @property
    def milliseconds(self) -> int:
        """From the beginning until the last credential was refused."""
        return max((kind.milliseconds for kind in self.kinds), default=0)

    def as_json(self) -> dict[str, Any]:
        """For programs; no secrets."""
        return {
            "number": self.number,
            "user_id": str(self.user_id),
            "email": self.email,
            "actor_id": None if self.actor_id is None else str(self.actor_id),
            "at": self.at.isoformat(),
            "was_disabled": self.was_disabled,
            "is_proved": self.is_proved,
            "milliseconds": self.milliseconds,
            "kinds": [{**asdict(kind), "refused": kind.refused} for kind in self.kinds],
        }


def report_of(event: AuditEvent) -> Report:
    """The report that an event of the action VERIFIED holds."""
    keys = {key for key in (event.target_id, event.actor_id) if key is not None}
    emails = dict(User.all_objects.filter(pk__in=keys).values_list("pk", "email"))
    known = {kind.name: kind for kind in credential_kinds()}
    kinds = []
    for name, values in event.detail["kinds"].items():
        kind = known.get(name)
        label, limits = (str(kind.label), str(kind.limits())) if kind else (name, "")
        kinds.append(KindResult(name=name, label=label, limits=limits, **values))
    if event.target_id is None:
        raise ValueError("an event of this action names an account")
    return Report(
        number=event.seq,
        user_id=event.target_id,
        email=emails.get(event.target_id),
        actor_id=event.actor_id,
        actor=emails.get(event.actor_id) if event.actor_id else None,
        at=event.at,
        was_disabled=event.detail["was_disabled"],
        kinds=tuple(kinds),
    )


def latest_report(user_id: uuid.UUID) -> AuditEvent | None:
    """The event of the newest report about that account, or None."""
    return _events(user_id).order_by("-seq").first()


def find_report(user_id: uuid.UUID, number: int) -> Report | None:
    """The report with that number about that account, or None."""
    event = _events(user_id).filter(seq=number).first()
    return None if event is None else report_of(event)


def _events(user_id: uuid.UUID) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(target_id=user_id, action=VERIFIED)
