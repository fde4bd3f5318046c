"""The state of an account in one word, and the filters beside the user list."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ROLE_LABELS, User
from accounts.roles import Role

Choices = list[tuple[str, Any]]


class State(StrEnum):
    """What stands between the person and the house; the first that applies, in this order."""

    NOT_SET_UP = "not-set-up"
    DISABLED = "disabled"
    NO_ACCESS = "no-access"
    ACTIVE = "active"


STATE_LABELS: dict[State, Any] = {
    State.ACTIVE: _("Active"),
    State.DISABLED: _("Disabled"),
    State.NO_ACCESS: _("No access"),
    State.NOT_SET_UP: _("Not set up yet"),
}
_IN_STATE: dict[str, Q] = {
    State.NOT_SET_UP: Q(setup_completed=False),
    State.DISABLED: Q(setup_completed=True, is_active=False),
    State.NO_ACCESS: Q(setup_completed=True, is_active=True, role=Role.NONE),
    State.ACTIVE: Q(setup_completed=True, is_active=True) & ~Q(role=Role.NONE),
}


def state_of(user: User) -> State:
    """The state of one account; the same rule as the filter's."""
    if not user.setup_completed:
        return State.NOT_SET_UP
    if not user.is_active:
        return State.DISABLED
    return State.NO_ACCESS if user.role == Role.NONE else State.ACTIVE


class Mark(NamedTuple):
    """A word beside the state of people of whom `condition` is true, and a choice of its filter."""

    label: Any
    condition: Callable[[], Exists]


_marks: dict[str, Mark] = {}


def user_badge(name: str, label: Any, condition: Callable[[], Exists]) -> None:
    """Upper rooms mark people in the user list by it. name: in the address of the filter.

    condition: made anew for each list; it is asked once for each person of a page, so it needs
    an index.
    """
    _marks[name] = Mark(label, condition)


def with_marks(people: "QuerySet[User]") -> "QuerySet[User]":
    """The people with what marks_of() reads."""
    conditions: Any = {_field(name): mark.condition() for name, mark in _marks.items()}
    return people.annotate(**conditions)


def marks_of(user: User) -> dict[str, Any]:
    """The labels of a person's marks by name; none when he was not read with_marks()."""
    found = {name: getattr(user, _field(name), False) for name in _marks}
    return {name: _marks[name].label for name, is_marked in found.items() if is_marked}


def _field(name: str) -> str:
    return f"has_mark_{name}"


class ChoiceFilter(SimpleListFilter):
    """A filter by a fixed list of conditions; a value that is not in the list filters nothing."""

    def conditions(self) -> dict[str, Q]:
        """value in the address -> condition."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        condition = self.conditions().get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class RoleFilter(ChoiceFilter):
    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        return list(ROLE_LABELS)

    def conditions(self) -> dict[str, Q]:
        return {role.value: Q(role=role.value) for role in Role}


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        states: Choices = [(state.value, label) for state, label in STATE_LABELS.items()]
        return states + [(name, mark.label) for name, mark in _marks.items()]

    def conditions(self) -> dict[str, Q]:
        return _IN_STATE | {name: Q(mark.condition()) for name, mark in _marks.items()}


class VerifiedFilter(ChoiceFilter):
    title = _("address verified")
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        return [("yes", _("Yes")), ("no", _("No"))]

    def conditions(self) -> dict[str, Q]:
        return {"yes": ~Q(email_verified_at=None), "no": Q(email_verified_at=None)}


class FactorFilter(ChoiceFilter):
    title = _("second factor")
    parameter_name = "factor"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        return [("yes", _("Set up")), ("no", _("None"))]

    def conditions(self) -> dict[str, Q]:
        found = Exists(User.objects.filter(pk=OuterRef("pk"), authenticators__isnull=False))
        return {"yes": Q(found), "no": ~Q(found)}


def _start_of_today() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def _days_ago(days: int) -> Callable[[], datetime]:
    return lambda: timezone.now() - timedelta(days=days)


class SinceFilter(ChoiceFilter):
    """How long ago a moment is. The spans hold each other: 30 days include today."""

    field: ClassVar[str]
    starts: ClassVar[dict[str, Callable[[], datetime]]] = {
        "today": _start_of_today,
        "7": _days_ago(7),
        "30": _days_ago(30),
        "90": _days_ago(90),
    }

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        return [
            ("today", _("Today")),
            ("7", _("Last 7 days")),
            ("30", _("Last 30 days")),
            ("90", _("Last 90 days")),
            ("longer", _("Longer ago")),
        ]

    def conditions(self) -> dict[str, Q]:
        since = {key: Q(**{f"{self.field}__gte": start()}) for key, start in self.starts.items()}
        return since | {"longer": Q(**{f"{self.field}__lt": self.starts["90"]()})}


class LastSignInFilter(SinceFilter):
    title = _("last sign-in")
    parameter_name = "signed-in"
    field = "last_login"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[User]") -> Choices:
        return [*super().lookups(request, model_admin), ("never", _("Never"))]

    def conditions(self) -> dict[str, Q]:
        return super().conditions() | {"never": Q(last_login=None)}


class CreatedFilter(SinceFilter):
    title = _("created")
    parameter_name = "created"
    field = "created_at"
