"""Actions on rows of facts: ticks that name rows, and one message for what came of it."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.admin.base import ReadOnlyAdmin, as_uuid
from core.errors import GatehouseError

MAX_ROWS = 500


class RowActionsAdmin(ReadOnlyAdmin):
    """Facts with an action. Ticks hold ids of `tick_field` and are turned into keys here."""

    tick_field: ClassVar[str] = "pk"

    def response_action(  # type: ignore[override]  # the stubs follow a later Django
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Refuses ticks that are no ids, which Django would hand to the database."""
        ticks = [as_uuid(text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME)]
        if None in ticks or len(ticks) > MAX_ROWS:
            text = _("Nothing was changed: please tick at most %(maximum)d rows of the list.")
            messages.warning(request, text % {"maximum": MAX_ROWS})
            return None
        if self.tick_field != "pk":
            found = queryset.filter(**{f"{self.tick_field}__in": ticks})
            _set_ticks(request, [str(key) for key in found.values_list("pk", flat=True)])
        return super().response_action(request, queryset)


def _set_ticks(request: HttpRequest, keys: list[str]) -> None:
    posted = request.POST.copy()
    posted.setlist(ACTION_CHECKBOX_NAME, keys)
    request.POST = posted  # type: ignore[assignment]  # for this request alone


def run_on_rows(
    request: HttpRequest,
    rows: "Iterable[Any]",
    act: Callable[[Any], None],
    done: Callable[..., str],
) -> None:
    """Call `act` for each row; tell how many were done, and why others were not.

    done: makes the sentence from a count.
    """
    count, reasons = 0, dict[str, int]()
    for row in rows:
        try:
            act(row)
            count += 1
        except GatehouseError as error:
            reasons[error.sentences] = reasons.get(error.sentences, 0) + 1
    if count:
        messages.success(request, done(count))
    for reason, number in reasons.items():
        text = _("Skipped %(number)d: %(reason)s")
        messages.warning(request, text % {"number": number, "reason": reason})
