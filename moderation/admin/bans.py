"""The table of bans: add one, see what caused it, lift it, simulate other limits."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.admin.base import RowPage, acting_admin
from accounts.admin.bulk_actions import RowActionsAdmin, run_on_rows
from accounts.admin.columns import NOTHING, exact_moment, moment, user_link
from accounts.admin.errors import tell_error
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, ColumnFilter, Option, SinceFilter
from accounts.forms import is_valid_with
from accounts.models import User
from core.errors import GatehouseError, NotFound, RecordInvalid
from moderation.admin.charts import Curve, Rise, curve
from moderation.admin.forms import BanTargetForm
from moderation.admin.labels import (
    STATES,
    ban_link,
    end_of,
    points,
    state_badge,
    target_name,
    type_label,
)
from moderation.admin.proxies import proxies_page
from moderation.admin.simulation import replay_page
from moderation.admin.tables import SubjectAdmin
from moderation.models import Ban
from moderation.reasons import shown
from moderation.services.bans import ban, check_ban, lift
from moderation.services.explain import Explanation, explain


class BanStateFilter(ChoiceFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        conditions = Ban.states(timezone.now())
        return [(state, text, conditions[state]) for state, (_tone, text) in STATES.items()]


class BanKindFilter(ColumnFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"
    values = Ban.Kind.choices


class BanSinceFilter(SinceFilter):
    title = gettext_lazy("since")
    parameter_name = "since"
    field = "created_at"


@admin.register(Ban, site=site)
class BanAdmin(RowPage, SubjectAdmin, RowActionsAdmin):
    """Who is or was banned, why and until when. The page of one ban shows what led to it."""

    title = gettext_lazy("Bans")
    menu_group = MenuGroup.MODERATION
    menu_position = 10
    help_page = "moderation"
    menu_pages = (
        ("admin:moderation_replay", gettext_lazy("What if: other limits")),
        ("admin:moderation_proxies", gettext_lazy("Proxy check")),
    )
    list_display = ("since", "who", "state_cell", "kind_name", "reason_text", "end")
    list_filter = (BanStateFilter, BanKindFilter, BanSinceFilter)
    sortable_by = ("since", "end")
    empty_text = gettext_lazy(
        "No one is banned. People and networks that exceed limits too often are banned by "
        "themselves and listed here; you can ban them, too."
    )
    empty_page = ("admin:moderation_ban_add", gettext_lazy("Ban"))
    actions = ("lift_chosen",)
    detail_fields: ClassVar[tuple[str, ...]] = (
        "person",
        "place",
        "state_cell",
        "kind_name",
        "reason_text",
        "exactly",
        "end_exactly",
        "author",
        "lifted",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Ban]":
        found: QuerySet[Ban] = super().get_queryset(request)
        return found.select_related("user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Adding one is banning; the service decides who may be banned."""
        return bool(self.has_view_permission(request))

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path("replay/", guard(require_safe(self.replay_view)), name="moderation_replay"),
            path("proxies/", guard(require_safe(self.proxies_view)), name="moderation_proxies"),
            path(
                "<uuid:key>/lift/", guard(require_POST(self.lift_view)), name="moderation_ban_lift"
            ),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("state"))
    def state_cell(self, row: Ban) -> SafeString:
        return state_badge(row)

    @admin.display(description=gettext_lazy("kind"))
    def kind_name(self, row: Ban) -> str:
        return str(row.get_kind_display())

    @admin.display(description=gettext_lazy("reason"))
    def reason_text(self, row: Ban) -> str:
        return shown(row.reason)

    @admin.display(description=gettext_lazy("since"), ordering="pk")
    def since(self, row: Ban) -> str:
        return moment(row.created_at)

    @admin.display(description=gettext_lazy("until"), ordering="until")
    def end(self, row: Ban) -> str:
        return end_of(row)

    @admin.display(description=gettext_lazy("since"))
    def exactly(self, row: Ban) -> str:
        return exact_moment(row.created_at)

    @admin.display(description=gettext_lazy("until"))
    def end_exactly(self, row: Ban) -> str:
        if row.until is None:
            return _("when it is lifted")
        return exact_moment(row.until)

    @admin.display(description=gettext_lazy("by"))
    def author(self, row: Ban) -> str:
        return _admin_cell(row.created_by)

    @admin.display(description=gettext_lazy("lifted"))
    def lifted(self, row: Ban) -> str:
        if row.lifted_at is None:
            return NOTHING
        return format_html("{} · {}", exact_moment(row.lifted_at), _admin_cell(row.lifted_by))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form to ban a user, a network, or both."""
        form = BanTargetForm(request.POST if request.method == "POST" else None)
        if is_valid_with(form, lambda typed: _check(acting_admin(request), typed)):
            try:
                made = ban(actor=acting_admin(request), **form.cleaned_data)
            except GatehouseError as error:
                form.add_service_errors(error)
            else:
                messages.success(request, _("The ban is in force."))
                return redirect("admin:moderation_ban_change", made.pk)
        return self.own_form_page(request, "admin/moderation/ban/add.html", form, _("Ban"))

    def lift_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """The button on the page of one ban."""
        row = Ban.objects.filter(pk=key).first()
        if row is None:
            raise Http404
        try:
            lift(actor=acting_admin(request), ban=row)
        except NotFound:
            messages.warning(request, _("This ban is not in force any more."))
        except GatehouseError as error:
            tell_error(request, error)
        else:
            messages.success(request, _("The ban is lifted."))
        return redirect("admin:moderation_ban_change", row.pk)

    @admin.action(description=gettext_lazy("Lift"), permissions=["action"])
    def lift_chosen(self, request: HttpRequest, queryset: "QuerySet[Ban]") -> None:
        """Lift the chosen bans, except ended ones and those of users with a higher role."""
        actor = acting_admin(request)

        def lift_one(row: Ban) -> None:
            try:
                lift(actor=actor, ban=row)
            except NotFound:
                raise NotFound(_("not in force any more")) from None

        run_on_rows(
            request,
            queryset,
            lift_one,
            ngettext_lazy("%(count)d ban is lifted.", "%(count)d bans are lifted.", "count"),
        )

    def page_context(self, request: HttpRequest, row: Ban) -> dict[str, Any]:
        return _page_context(acting_admin(request), row)

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """Simulate other limits."""
        return replay_page(request, self._common(request))

    def proxies_view(self, request: HttpRequest) -> HttpResponse:
        """How this request reached the server, and what is wrong with the proxies."""
        return proxies_page(request, self._common(request))

    def _common(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of the admin shows."""
        return self.admin_site.each_context(request) | {"opts": self.opts}


def _check(actor: User, data: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service would refuse in a form that has other errors."""
    try:
        check_ban(
            actor,
            user=data.get("user"),
            network=data.get("network", ""),
            duration=data.get("duration"),
        )
    except RecordInvalid as error:
        # A target that is invalid is not a missing target.
        errors = dict(error.errors)
        if not {"user", "network"} <= data.keys():
            errors.pop("user", None)
        raise RecordInvalid(errors) from None


def _admin_cell(key: UUID | None) -> str | SafeString:
    if key is None:
        return _("system")
    email = User.objects.filter(pk=key).values_list("email", flat=True).first()
    return user_link(key, email)


def _page_context(actor: User, row: Ban) -> dict[str, Any]:
    """What the page of one ban shows below its fields."""
    found = explain(row)
    is_active = row.state(timezone.now()) == "active"
    others = (
        Ban.objects.active(timezone.now()).exclude(pk=row.pk).filter(_same(row)).order_by("-pk")
    )
    return {
        "subtitle": target_name(row),
        "may_lift": is_active and (row.user is None or actor.can_manage(row.user)),
        "is_automatic": row.kind == Ban.Kind.AUTOMATIC,
        "explanation": found,
        "rows": _rows(found) if found else [],
        "earlier": points(found.earlier) if found and found.has_earlier else "",
        "total": points(found.total) if found else "",
        "curve": _curve(found) if found else None,
        "others": [
            (ban_link(other, target_name(other)), end_of(other))
            for other in others.select_related("user")[:10]
        ],
    }


def _same(row: Ban) -> Q:
    """Bans of the same person or the same network."""
    condition = Q(pk__in=[])
    if row.user_id is not None:
        condition |= Q(user_id=row.user_id)
    if row.network:
        condition |= Q(network=row.network)
    return condition


def _rows(found: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "violation": row.violation,
            "type": type_label(row.violation.type),
            "score": points(row.violation.score),
            "worth": points(row.worth),
            "total": points(row.violation.total_after),
        }
        for row in found.rows
    ]


def _curve(found: Explanation) -> Curve:
    rises = [Rise(row.at, row.total_before, row.total_after) for row in found.steps]
    return curve(rises, settings.BAN_INTERVAL)
