"""Bulk actions: running one on each row, and telling the administrator the outcome."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import GatehouseModelAdmin, ReadOnlyAdmin, as_uuid
from accounts.admin.errors import tell_held
from accounts.services.approvals.rule import TwoPersonRequired
from core.errors import GatehouseError

MAX_ROWS = 500


@dataclass(slots=True)
class BulkResult:
    """The outcome of an action on several rows.

    skipped: reason -> how many rows were refused for it. results: (row, result) of the others.
    held: those that wait for a second owner; they are among the skipped ones.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    results: list[tuple[Any, Any]] = field(default_factory=list)

    held: list[TwoPersonRequired] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many rows the action was done for."""
        return len(self.results)

    def __str__(self) -> str:
        """`3 done, 2 skipped: rank`."""
        parts = [_("%(count)d done") % {"count": self.done}]
        for reason, count in sorted(self.skipped.items()):
            parts.append(_("%(count)d skipped: %(reason)s") % {"count": count, "reason": reason})
        return ", ".join(parts)


def run_on_each(
    rows: Iterable[Any],
    run: Callable[[Any], Any],
    reason: Callable[[GatehouseError], str] = lambda error: error.sentences,
) -> BulkResult:
    """Call `run` for each row; a row that it refuses is skipped. reason: error -> short text."""
    result = BulkResult()
    for row in rows:
        try:
            result.results.append((row, run(row)))
        except TwoPersonRequired as error:
            result.held.append(error)
            result.skipped[_("a second owner must confirm it, see Approvals")] += 1
        except GatehouseError as error:
            result.skipped[reason(error)] += 1
    return result


def run_on_rows(
    request: HttpRequest,
    rows: "QuerySet[Any]",
    run: Callable[[Any], object],
    done: Any,
) -> None:
    """Call `run` for at most MAX_ROWS rows, and add messages that tell the outcome.

    done: the sentence for the rows that it was done for, made by ngettext_lazy() with %(count)d.
    """
    result = run_on_each(list(rows[:MAX_ROWS]), run)
    if result.done:
        messages.success(request, done % {"count": result.done})
    for reason, number in result.skipped.items():
        text = _("Skipped %(number)d: %(reason)s")
        messages.warning(request, text % {"number": number, "reason": reason})
    tell_held(request, result.held)


class TickedRowsAdmin(GatehouseModelAdmin):
    """A table whose actions refuse values that are no ids; Django would pass them to the database.

    tick_field: what the checkboxes hold. tick_warning: the message; it may name %(maximum)d.
    """

    tick_field: ClassVar[str] = "pk"
    tick_warning: Any = gettext_lazy(
        "Nothing was changed: please tick at most %(maximum)d rows of the list."
    )

    def response_action(  # type: ignore[override]  # the stubs follow a later Django
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        ticks = [as_uuid(text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME)]
        if None in ticks or len(ticks) > MAX_ROWS:
            messages.warning(request, self.tick_warning % {"maximum": MAX_ROWS})
            return None
        if self.tick_field != "pk":
            found = queryset.filter(**{f"{self.tick_field}__in": ticks})
            _set_ticks(request, [str(key) for key in found.values_list("pk", flat=True)])
        return super().response_action(request, queryset)


class RowActionsAdmin(TickedRowsAdmin, ReadOnlyAdmin):
    """A read-only table with actions."""


def _set_ticks(request: HttpRequest, keys: list[str]) -> None:
    data = request.POST.copy()
    data.setlist(ACTION_CHECKBOX_NAME, keys)
    request.POST = data  # type: ignore[assignment]  # for this request only
