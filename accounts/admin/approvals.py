"""Requests for a second owner: the list, the page that shows one and decides it, the notice."""

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.admin.base import ReadOnlyAdmin, acting_admin
from accounts.admin.columns import NOTHING, badge, exact_moment, moment, moment_column
from accounts.admin.dashboard.parts import DashboardWarning, Part, add_part
from accounts.admin.errors import tell_error
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.site_pages import is_owner
from accounts.admin.users.actions import sign_out_if_ended
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.models import ApprovalRequest, User
from accounts.sent_forms import show_once
from accounts.services.approvals import requests
from accounts.services.approvals.asking import State, deciders, may_decide, name_of
from core.errors import GatehouseError, NotFound

LIST, PAGE = "accounts_approvalrequest_changelist", "accounts_approvalrequest_change"
TONES = {
    State.OPEN: "warn",
    State.CONFIRMED: "good",
    State.DECLINED: "bad",
    State.WITHDRAWN: "plain",
    State.REFUSED: "bad",
    State.EXPIRED: "plain",
}
DONE = {
    "confirm": gettext_lazy("Confirmed and carried out: %(does)s."),
    "decline": gettext_lazy("Declined. Nothing has changed: %(does)s."),
    "withdraw": gettext_lazy("Withdrawn. Nothing has changed: %(does)s."),
}


class ApprovalStateFilter(ChoiceFilter):
    """By the state that the list shows: an open request that is over has expired."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        is_over = Q(state=State.OPEN, expires_at__lte=now)
        for state in State:
            condition = Q(state=state)
            if state == State.OPEN:
                condition &= Q(expires_at__gt=now)
            elif state == State.EXPIRED:
                condition |= is_over
            yield state.value, state.label, condition


@admin.register(ApprovalRequest, site=site)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """What owners have asked a second owner to confirm. Only owners see it."""

    title = gettext_lazy("Approvals")
    menu_group = MenuGroup.USERS
    menu_position = 60
    help_page = "two-person-rule"
    list_display = ("what", "state_cell", "asker", "asked", "ends", "decider")
    list_display_links = ("what",)
    list_filter = (ApprovalStateFilter,)
    sortable_by = ("asked",)
    empty_text = gettext_lazy(
        "While TWO_PERSON_RULE is on, acts on owners wait here until a second owner confirms them."
    )
    # Nothing is carried out by them.
    exempt_pages: ClassVar[frozenset[str]] = frozenset(
        {"accounts_approvalrequest_decline", "accounts_approvalrequest_withdraw"}
    )
    page_labels = MappingProxyType({"confirm": gettext_lazy("Confirm as second owner")})

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_view_permission(request, obj)) and is_owner(request)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ApprovalRequest]":
        found: QuerySet[ApprovalRequest] = super().get_queryset(request)
        return found.select_related("target", "asked_by", "decided_by")

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "accounts_approvalrequest"
        decisions = [
            path(
                f"<uuid:key>/{word}/",
                wrap(require_POST(_decision_view(self, word))),
                name=f"{name}_{word}",
            )
            for word in DONE
        ]
        page = require_safe(_page_view(self))
        shown = path("<uuid:key>/change/", wrap(page), name=f"{name}_change")
        return [shown, *decisions, *super().get_urls()]

    def name_in_confirmation(self, row: ApprovalRequest) -> str:
        """What /confirm says about a request."""
        return requests.shown(row).does

    @admin.display(description=gettext_lazy("what"))
    def what(self, row: ApprovalRequest) -> str:
        return requests.shown(row).does

    @admin.display(description=gettext_lazy("state"))
    def state_cell(self, row: ApprovalRequest) -> SafeString:
        return state_badge(row)

    @admin.display(description=gettext_lazy("asked by"))
    def asker(self, row: ApprovalRequest) -> str:
        return _person(row.asked_by)

    @admin.display(description=gettext_lazy("decided by"))
    def decider(self, row: ApprovalRequest) -> str:
        return NOTHING if row.decided_by is None else _person(row.decided_by)

    asked = moment_column("asked_at", gettext_lazy("asked"), ordering="pk")

    @admin.display(description=gettext_lazy("expires"))
    def ends(self, row: ApprovalRequest) -> str:
        return moment(row.expires_at) if row.state == State.OPEN else NOTHING


def state_badge(row: ApprovalRequest) -> SafeString:
    """The state as of now."""
    state = State(row.state_now(timezone.now()))
    return badge(TONES[state], state.label)


def _person(user: User | None) -> str:
    return _("a deleted account") if user is None else user.get_full_name()


def _find(modeladmin: ApprovalRequestAdmin, request: HttpRequest, key: UUID) -> ApprovalRequest:
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    try:
        return requests.find_request(key)
    except NotFound:
        raise Http404 from None


def _page_view(modeladmin: ApprovalRequestAdmin) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Who asked for what, what follows, and the buttons of whom it is to decide."""
        row = _find(modeladmin, request, key)
        return _page(modeladmin, request, row)

    return view


def _page(
    modeladmin: ApprovalRequestAdmin,
    request: HttpRequest,
    row: ApprovalRequest,
    **more: Any,
) -> HttpResponse:
    actor, shown = acting_admin(request), requests.shown(row)
    is_open = row.state_now(timezone.now()) == State.OPEN
    context = modeladmin.admin_site.each_context(request) | {
        "title": _("Request for a second owner"),
        "opts": modeladmin.opts,
        "row": row,
        "shown": shown,
        "here": shown.does,
        "state": state_badge(row),
        "asker": _person(row.asked_by),
        "decider": None if row.decided_at is None else row.decided_by,
        "asked": exact_moment(row.asked_at),
        "ends": exact_moment(row.expires_at),
        "decided": exact_moment(row.decided_at),
        "is_open": is_open,
        "may_decide": is_open and may_decide(row, actor),
        "may_withdraw": is_open and actor.pk == row.asked_by_id,
        "is_gaining": is_open and row.raises_power and actor.pk == row.target_id,
        "deciders": [each.get_full_name() for each in deciders(row)] if is_open else [],
        **more,
    }
    return render(request, "admin/accounts/approvalrequest/page.html", context)


def _decision_view(modeladmin: ApprovalRequestAdmin, word: str) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        row, actor = _find(modeladmin, request, key), acting_admin(request)
        does = requests.shown(row).does
        try:
            decided = getattr(requests, word)(actor=actor, request_id=row.pk)
        except GatehouseError as error:
            tell_error(request, error)
            return redirect(f"admin:{PAGE}", row.pk)
        sign_out_if_ended(request)
        messages.success(request, DONE[word] % {"does": does})
        result: Any = getattr(decided, "result", None)
        if not getattr(result, "url", ""):
            return redirect(f"admin:{PAGE}", row.pk)
        link = {"url": result.url, "expires_at": result.expires_at, "name": name_of(row)}
        page = _page(modeladmin, request, requests.find_request(row.pk), link=link)
        return show_once(page, reverse(f"admin:{PAGE}", args=[row.pk]))

    return view


def notices(request: HttpRequest) -> list[DashboardWarning]:
    """What waits for this owner to decide."""
    if not settings.TWO_PERSON_RULE or not is_owner(request):
        return []
    actor = acting_admin(request)
    waiting = [row for row in requests.open_requests(timezone.now()) if may_decide(row, actor)]
    if not waiting:
        return []
    first, count = waiting[0], len(waiting)
    title = ngettext(
        "A request waits for you as second owner.",
        "%(count)d requests wait for you as second owner.",
        count,
    ) % {"count": count}
    url = reverse(f"admin:{PAGE}", args=[first.pk])
    if count > 1:
        url = f"{reverse(f'admin:{LIST}')}?state=open"
    text = _("%(name)s asks: %(does)s.") % {
        "name": _person(first.asked_by),
        "does": requests.shown(first).does,
    }
    return [DashboardWarning("warn", title, text, url, _("Look at it"))]


add_part("approvals", Part(notices=notices))
