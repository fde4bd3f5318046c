"""Pages that first check a form and show what it would do, and then do exactly that.

Between both steps everything travels in the form, so nothing is stored. What is done is what was
looked at: the form says by a digest what was checked, and a form that has changed since is shown
again.
"""

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from accounts.forms import GatehouseForm
from core.errors import GatehouseError


class CheckedForm(GatehouseForm):
    """A form that tells what was checked."""

    @property
    def checked(self) -> str:
        """A digest of the input and of all choices of a valid form."""
        raise NotImplementedError


Form = TypeVar("Form", bound=CheckedForm)
View = Callable[[HttpRequest], HttpResponse]


def checked_views(
    *,
    make: Callable[..., Form],
    show: Callable[[HttpRequest, Form, str], HttpResponse],
    act: Callable[[HttpRequest, Form], HttpResponse | None],
    changed: Callable[[], str],
) -> tuple[View, View]:
    """(the view that checks, the view that acts).

    make: the form, called with the request and the posted fields or None. show: the page with what
    would happen, and a note. act: does what was checked; None, or a GatehouseError, if it was not
    done. changed: the note for a form that is not what was checked.
    """

    def check(request: HttpRequest) -> HttpResponse:
        """The form, and after it what will happen."""
        return show(request, make(request, request.POST if request.method == "POST" else None), "")

    @require_POST
    def run(request: HttpRequest) -> HttpResponse:
        """Do what was checked."""
        form = make(request, request.POST)
        if not form.is_valid():
            return show(request, form, "")
        if request.POST.get("checked") != form.checked:
            return show(request, form, changed())
        try:
            answer = act(request, form)
        except GatehouseError as error:
            form.add_service_errors(error)
            answer = None
        return show(request, form, "") if answer is None else answer

    return check, run
