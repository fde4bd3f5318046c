"""Taking back changes in the admin: links, the page that asks, and the offer after a change."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.admin.base import acting_admin
from accounts.admin.columns import NOTHING, moment
from accounts.admin.errors import tell_error
from accounts.admin.users.actions import sign_out_if_ended
from accounts.models import User
from accounts.models.audit_events import sentence_of
from accounts.services.undo import (
    find_event,
    is_undoable,
    plan_undo,
    undo,
    undo_problem,
    undoable_of,
)
from audit.models import AuditEvent
from core.errors import GatehouseError

PAGE = "audit_auditevent_undo"
# More changes of one request are offered as one link to all of them.
MAX_OFFERED = 3


def undo_link(event: AuditEvent) -> SafeString | str:
    """A link to the page that asks; "" if the event itself shows that it cannot be undone."""
    if not is_undoable(event, timezone.now()):
        return ""
    label = _("Undo entry %(number)d") % {"number": event.seq}
    return format_html(
        '<a class="undo-link" href="{}" aria-label="{}">{}</a>', _url(event), label, _("Undo…")
    )


def undo_state(event: AuditEvent) -> SafeString | str:
    """For the page of an entry: the link, or why it cannot be undone, or what undid it."""
    undone_by = getattr(event, "undone_by", None)
    if undone_by is not None:
        text = _("Undone by entry %(number)d") % {"number": undone_by}
        page = reverse("admin:audit_auditevent_change", args=[undone_by])
        return format_html('<a href="{}">{}</a>', page, text)
    problem = undo_problem(event, timezone.now())
    if problem is None:
        return format_html('<a class="button" href="{}">{}</a>', _url(event), _("Undo…"))
    return problem or NOTHING


def undoes_link(event: AuditEvent) -> SafeString | str:
    """A link to the entry that this one takes back."""
    if event.undoes is None:
        return NOTHING
    page = reverse("admin:audit_auditevent_change", args=[event.undoes])
    return format_html('<a href="{}">{}</a>', page, event.undoes)


def undo_urls(modeladmin: "ModelAdmin[AuditEvent]") -> list[URLPattern]:
    """<number>/undo/: GET asks, POST acts. With the checks of the admin site."""
    view = require_http_methods(["GET", "HEAD", "POST"])(_view(modeladmin))
    return [path("<int:key>/undo/", modeladmin.admin_site.admin_view(view), name=PAGE)]


def _view(modeladmin: "ModelAdmin[AuditEvent]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: int) -> HttpResponse:
        if not modeladmin.has_view_permission(request):
            raise PermissionDenied
        event = find_event(key)
        if event is None:
            raise Http404
        if request.method == "POST":
            return _act(request, event)
        return _ask(modeladmin, request, event)

    return view


def _act(request: HttpRequest, event: AuditEvent) -> HttpResponse:
    try:
        done = undo(actor=acting_admin(request), event=event)
    except GatehouseError as error:
        tell_error(request, error)
        return redirect(f"admin:{PAGE}", event.seq)
    sign_out_if_ended(request)
    return redirect("admin:audit_auditevent_change", done.seq)


def _ask(
    modeladmin: "ModelAdmin[AuditEvent]", request: HttpRequest, event: AuditEvent
) -> HttpResponse:
    context: dict[str, Any] = {"plan": None, "problem": ""}
    try:
        context["plan"] = plan_undo(event, actor=acting_admin(request))
    except GatehouseError as error:
        context["problem"] = error.sentences
    context |= modeladmin.admin_site.each_context(request) | {
        "title": _("Undo a change"),
        "opts": modeladmin.opts,
        "event": event,
        "told": sentence_of(event),
        "when": moment(event.at),
        "person": User.objects.filter(pk=event.target_id).first(),
    }
    return render(request, "admin/audit/auditevent/undo.html", context)


def offer_undo(request: HttpRequest, events: list[AuditEvent]) -> None:
    """Add a message for each change that the request has made and that can be undone."""
    if not events or not request.user.is_authenticated:
        return
    found = undoable_of(events)
    for event in found[:MAX_OFFERED]:
        shown = '{} <a class="undo-link" href="{}">{}</a>'
        messages.info(request, format_html(shown, sentence_of(event), _url(event), _("Undo…")))
    hidden = len(found) - MAX_OFFERED
    if hidden > 0:
        text = ngettext(
            "%(count)d more change can be undone in the audit log.",
            "%(count)d more changes can be undone in the audit log.",
            hidden,
        )
        page = reverse("admin:audit_auditevent_changelist")
        shown = format_html('<a class="undo-link" href="{}">{}</a>', page, text % {"count": hidden})
        messages.info(request, shown)


def _url(event: AuditEvent) -> str:
    return reverse(f"admin:{PAGE}", args=[event.seq])
