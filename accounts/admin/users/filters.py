"""The state of an account, the badges beside it, and the filters of the user list."""

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
    """Whether a user may sign in, and if not, why; the first state that applies, in this order."""

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
    """The state of one account, by the same rule as the filter."""
    if not user.setup_completed:
        return State.NOT_SET_UP
    if not user.is_active:
        return State.DISABLED
    return State.NO_ACCESS if user.role == Role.NONE else State.ACTIVE


class Badge(NamedTuple):
    """A label beside the state of users for whom `condition` holds, and a choice of the filter."""

    label: Any
    condition: Callable[[], Exists]


_badges: dict[str, Badge] = {}


def user_badge(name: str, label: Any, condition: Callable[[], Exists]) -> None:
    """Add a badge to the user list. name: the filter's value in the URL.

    condition: called for each list. Its subquery runs once for each user of a page, so it needs an
    index.
    """
    _badges[name] = Badge(label, condition)


def with_badges(users: "QuerySet[User]") -> "QuerySet[User]":
    """Annotate the users with what badges_of() reads."""
    conditions: Any = {_field(name): badge.condition() for name, badge in _badges.items()}
    return users.annotate(**conditions)


def badges_of(user: User) -> dict[str, Any]:
    """Name -> label of a user's badges; empty if they were not loaded with_badges()."""
    return {name: badge.label for name, badge in _badges.items() if getattr(user, _field(name), 0)}


def _field(name: str) -> str:
    return f"has_badge_{name}"


class ChoiceFilter(SimpleListFilter):
    """A filter by a fixed list of conditions; an unknown value filters nothing."""

    def conditions(self) -> dict[str, Q]:
        """Value in the URL -> condition."""
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
        return states + [(name, badge.label) for name, badge in _badges.items()]

    def conditions(self) -> dict[str, Q]:
        return _IN_STATE | {name: Q(badge.condition()) for name, badge in _badges.items()}


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
    """Filter by how long ago a moment is. The spans overlap: 30 days include today."""

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
