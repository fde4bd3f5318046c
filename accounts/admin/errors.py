"""What the admin tells after a service has refused an act, or holds it for a second owner."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.services.approvals.asking import name_of
from accounts.services.approvals.rule import TwoPersonRequired
from core.errors import GatehouseError

# More requests are one link to all of them.
MAX_TOLD = 3


def tell_error(request: HttpRequest, error: GatehouseError) -> None:
    """Add a message with the reason; for an act that is held, one that leads to its request."""
    if not isinstance(error, TwoPersonRequired):
        messages.error(request, error.sentences)
        return
    shown = '{} <a class="undo-link" href="{}">{}</a>'
    label = _("Show the request")
    messages.warning(request, format_html(shown, error.sentences, error.path, label))


def tell_held(request: HttpRequest, held: Sequence[TwoPersonRequired]) -> None:
    """Add messages that lead to the requests of a bulk action; for many, one to the list."""
    if len(held) <= MAX_TOLD:
        for error in held:
            shown = '{} <a class="undo-link" href="{}">{}</a>'
            about = name_of(error.request)
            messages.warning(request, format_html(shown, about, error.path, _("Show the request")))
        return
    page = reverse("admin:accounts_approvalrequest_changelist")
    shown = '<a class="undo-link" href="{}">{}</a>'
    messages.warning(request, format_html(shown, page, _("Show the requests")))
