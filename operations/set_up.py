"""How far the set-up assistant has come. It leads an owner through the first steps, once.

It decides nothing: what the environment says is changed there, and what is done in the assistant
is done by the services of the pages to which it leads.
"""

from enum import StrEnum

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.roles import Role
from core.errors import Forbidden
from operations.models import SetUpStep

State = SetUpStep.State


class Step(StrEnum):
    """The steps, in order."""

    ADDRESS = "address"
    MAIL = "mail"
    METHODS = "sign-in"
    PROXY = "proxy"
    INVITATIONS = "invitations"


def states() -> dict[Step, str]:
    """Each step with its state; "" for one that is open."""
    stored = dict(SetUpStep.objects.values_list("name", "state"))
    return {step: stored.get(step.value, "") for step in Step}


def mark(*, actor: Actor, step: Step, state: State) -> None:
    """Say that a step is done or skipped; it can be done again. Raises Forbidden."""
    _require_owner(actor)
    SetUpStep.objects.update_or_create(
        name=step.value, defaults={"state": state, "at": timezone.now()}
    )


def skip_open(*, actor: Actor) -> None:
    """Skip every step that is open: the overview does not mention them any more."""
    _require_owner(actor)
    rows = [
        SetUpStep(name=step.value, state=State.SKIPPED)
        for step, state in states().items()
        if not state
    ]
    SetUpStep.objects.bulk_create(rows, ignore_conflicts=True)


def next_open(after: Step | None = None) -> Step | None:
    """The first open step behind `after`, or else from the start; None if there is none."""
    found = [step for step, state in states().items() if not state]
    order = list(Step)
    behind = [step for step in found if after and order.index(step) > order.index(after)]
    return next(iter([*behind, *found]), None)


def _require_owner(actor: Actor) -> None:
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners set the instance up."))
