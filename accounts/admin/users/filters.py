"""The state of an account, the badges beside it, and the filters of the user list."""

from collections.abc import Callable, Iterable
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
# Value in the URL, label, and condition of the rows that are shown.
Option = tuple[str, Any, Q]


class State(StrEnum):
    """Whether a user may sign in, and if not, why; the first state that applies, in this order."""

    NOT_SET_UP = "not-set-up"
    ENDED = "ended"
    DISABLED = "disabled"
    NO_ACCESS = "no-access"
    ACTIVE = "active"


STATE_LABELS: dict[State, Any] = {
    State.ACTIVE: _("Active"),
    State.ENDED: _("Access ended"),
    State.DISABLED: _("Disabled"),
    State.NO_ACCESS: _("No access"),
    State.NOT_SET_UP: _("Not set up yet"),
}


def _in_state(now: datetime) -> dict[State, Q]:
    """The condition of each state."""
    goes_on = Q(setup_completed=True) & (Q(expires_at=None) | Q(expires_at__gt=now))
    waits = Q(role=Role.NONE) | Q(role_until__lte=now, role_after=Role.NONE)
    return {
        State.NOT_SET_UP: Q(setup_completed=False),
        State.ENDED: Q(setup_completed=True, expires_at__lte=now),
        State.DISABLED: goes_on & Q(is_active=False),
        State.NO_ACCESS: goes_on & Q(is_active=True) & waits,
        State.ACTIVE: goes_on & Q(is_active=True) & ~waits,
    }


def in_state(state: State) -> Q:
    """The condition of one state, now."""
    return _in_state(timezone.now())[state]


def state_of(user: User) -> State:
    """The state of one account, by the same rule as the filter."""
    if not user.setup_completed:
        return State.NOT_SET_UP
    if user.is_expired(timezone.now()):
        return State.ENDED
    if not user.is_active:
        return State.DISABLED
    return State.NO_ACCESS if user.role == Role.NONE else State.ACTIVE


class Badge(NamedTuple):
    """A label beside the state of the users whom a row of another table is about."""

    label: Any
    rows: Callable[[], "QuerySet[Any]"]

    def condition(self) -> Exists:
        """Whether the user of an outer query bears it."""
        return Exists(self.rows().filter(user=OuterRef("pk")))

    def bearers(self) -> Q:
        """The users who bear it, beginning with the rows, which are few."""
        return Q(pk__in=self.rows().filter(user__isnull=False).values("user"))


_badges: dict[str, Badge] = {}


def user_badge(name: str, label: Any, rows: Callable[[], "QuerySet[Any]"]) -> None:
    """Add a badge to the user list, and a choice to its filter. name: its value in the URL.

    rows: called for each list; rows with a foreign key `user`, which needs an index.
    """
    _badges[name] = Badge(label, rows)


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
    """A filter by a list of conditions; an unknown value filters nothing."""

    def options(self, request: HttpRequest) -> Iterable[Option]:
        """The choices in their order. Called once for each page."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> Choices:
        options = list(self.options(request))
        self.conditions = {value: condition for value, _label, condition in options}
        return [(value, label) for value, label, _condition in options]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        condition = self.conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)

    def branches(self) -> list[Q]:
        """Alternatives of the choice, each of which an index sorts by primary key; [] for none."""
        return []

    @property
    def found_by(self) -> str:
        """The column in whose order the database finds the rows of the choice; "" if it does not
        matter. See GatehouseList.get_queryset().
        """
        return ""


class ColumnFilter(ChoiceFilter):
    """A filter by the value of one column, which is also its name in the URL."""

    values: ClassVar[Any] = ()

    def options(self, request: HttpRequest) -> Iterable[Option]:
        name = str(self.parameter_name)
        return [(str(value), label, Q(**{name: value})) for value, label in self.values]


class RoleFilter(ColumnFilter):
    title = _("role")
    parameter_name = "role"
    values = ROLE_LABELS


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        conditions = _in_state(timezone.now())
        yield from (
            (state.value, label, conditions[state]) for state, label in STATE_LABELS.items()
        )
        yield from ((name, each.label, each.bearers()) for name, each in _badges.items())

    @property
    def found_by(self) -> str:
        return "-pk" if self.value() in _badges else ""


class EndsFilter(ChoiceFilter):
    """Filter by the end of the access or of the role, whichever is in the span."""

    title = _("ends")
    parameter_name = "ends"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        yield ("soon", _("Within 7 days"), _ends_between(now, now + timedelta(days=7)))
        yield ("month", _("Within 30 days"), _ends_between(now, now + timedelta(days=30)))
        any_time = Q(expires_at__gt=now) | Q(role_until__gt=now)
        yield ("some-time", _("At some time"), any_time)


def _ends_between(now: datetime, end: datetime) -> Q:
    return Q(expires_at__gt=now, expires_at__lte=end) | Q(role_until__gt=now, role_until__lte=end)


class VerifiedFilter(ChoiceFilter):
    title = _("address verified")
    parameter_name = "verified"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        unverified = Q(email_verified_at=None)
        return [("yes", _("Yes"), ~unverified), ("no", _("No"), unverified)]


class FactorFilter(ChoiceFilter):
    title = _("second factor")
    parameter_name = "factor"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        factors = User.authenticators.rel.related_model._default_manager
        owners = Q(pk__in=factors.values("user"))
        return [
            ("yes", _("Set up"), owners),
            ("no", _("None"), ~Q(Exists(factors.filter(user=OuterRef("pk"))))),
        ]

    @property
    def found_by(self) -> str:
        return "-pk" if self.value() in self.conditions else ""


class SinceFilter(ChoiceFilter):
    """Filter by how long ago a moment is. The spans overlap: 30 days include today."""

    field: ClassVar[str]
    # Whether an index begins with the field.
    is_indexed: ClassVar[bool] = False

    @property
    def found_by(self) -> str:
        return f"-{self.field}" if self.is_indexed and self.value() in self.conditions else ""

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        yield "today", _("Today"), self._since(today)
        yield "7", _("Last 7 days"), self._since(now - timedelta(days=7))
        yield "30", _("Last 30 days"), self._since(now - timedelta(days=30))
        yield "90", _("Last 90 days"), self._since(now - timedelta(days=90))
        yield "longer", _("Longer ago"), Q(**{f"{self.field}__lt": now - timedelta(days=90)})

    def _since(self, start: datetime) -> Q:
        return Q(**{f"{self.field}__gte": start})


class LastSignInFilter(SinceFilter):
    title = _("last sign-in")
    parameter_name = "signed-in"
    field = "last_login"
    is_indexed = True

    def options(self, request: HttpRequest) -> Iterable[Option]:
        return [*super().options(request), ("never", _("Never"), Q(last_login=None))]


class CreatedFilter(SinceFilter):
    title = _("created")
    parameter_name = "created"
    field = "created_at"
    is_indexed = True
