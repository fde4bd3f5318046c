"""How apps say which of their audit events can be taken back, and how.

This is one of the seams by which other apps extend accounts; see docs/architecture.md. An app has
a module `undo`, which is imported when the first event is looked up:

    @undoes("account:role:keep", changed_by=["account:role:keep"])
    def undo_role_keep(event: AuditEvent) -> Reversal: ...

accounts.services.undo checks what holds for every event (the time, whether it was undone or changed
since); the function says what taking back would do now, as a call of the service that made the
change. So its rank check, its locks and its audit row are those of any other change.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext as _

from accounts.actors import Actor
from audit.models import AuditEvent
from core.locks import lock_users


@dataclass(frozen=True, slots=True)
class Reversal:
    """What taking back one event would do now.

    what: of which object, such as "Role of Jon Doe". now, then: the value that it has and the one
    that it gets, for people. run: the call of the service, with the actor. allow: raises what the
    service would raise, so that a page can say so before. note: what does not come back.
    """

    what: str
    now: str
    then: str
    run: Callable[[Actor], object]
    allow: Callable[[Actor], object] = lambda _actor: None
    note: Any = ""


Plan = Callable[[AuditEvent], Reversal]


class Kind(NamedTuple):
    """How to take back events of one action.

    plan: raises CannotUndo with the reason. lock: takes the first lock of the service. later:
    events that change the same thing, whenever they happened. scope: of API keys.
    """

    plan: Plan
    lock: Callable[[AuditEvent], object]
    later: Callable[[AuditEvent], "QuerySet[AuditEvent]"]
    scope: str


_kinds: dict[str, Kind] = {}
_refusals: dict[str, Any] = {}


def lock_target(event: AuditEvent) -> None:
    """Lock the user whom the event is about."""
    lock_users(event.target_id)


def undoes(
    *actions: str,
    changed_by: Iterable[str] = (),
    later: Callable[[AuditEvent], "QuerySet[AuditEvent]"] | None = None,
    lock: Callable[[AuditEvent], object] = lock_target,
    scope: str = "users",
) -> Callable[[Plan], Plan]:
    """Decorator: the function plans how to take back events of these actions.

    changed_by: the actions on the same target that change the same thing; later: other such
    events. scope: what the key of an API request needs.
    """
    names = list(changed_by)

    def same_target(event: AuditEvent) -> "QuerySet[AuditEvent]":
        return AuditEvent.objects.filter(target_id=event.target_id, action__in=names)

    def register(plan: Plan) -> Plan:
        for action in actions:
            _kinds[action] = Kind(plan, lock, later or same_target, scope)
        return plan

    return register


def never_undone(*actions: str, because: Any) -> None:
    """Say why events of these actions cannot be taken back, and what to do instead.

    because: goes on from "This cannot be undone, because".
    """
    for action in actions:
        _refusals[action] = because


def kind_of(action: str) -> Kind | None:
    """How to take back events of this action; None if they cannot be."""
    _load()
    return _kinds.get(action)


def refusal_of(action: str) -> str:
    """Why events of this action are never taken back, as a sentence; "" without a reason."""
    _load()
    if action not in _refusals:
        return ""
    return _("This cannot be undone, because %(reason)s") % {"reason": _refusals[action]}


def known_actions() -> tuple[frozenset[str], frozenset[str]]:
    """The actions that can be taken back, and those that cannot be, with a reason."""
    _load()
    return frozenset(_kinds), frozenset(_refusals)


@cache
def _load() -> None:
    """Commands need it rarely, and it imports the services of every app."""
    autodiscover_modules("undo")
    import_module("accounts.undo.own_reversals")
    import_module("accounts.undo.group_reversals")
