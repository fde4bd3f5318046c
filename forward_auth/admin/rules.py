"""The table of rules, in the order that decides. Admins read it, owners change it."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Model, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.admin.base import ServiceFormAdmin, acting_admin
from accounts.admin.columns import NOTHING, badge
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.models import User
from accounts.roles import Role
from applications.models import App
from core.errors import GatehouseError
from forward_auth.admin.labels import app_link, audience_badge, conditions_cell
from forward_auth.admin.overview import public_host_warnings, self_registration_warnings
from forward_auth.admin.rule_form import RuleForm
from forward_auth.admin.simulation import simulation_page
from forward_auth.models import AccessRule
from forward_auth.rules.matching import reachable_rules
from forward_auth.services.rules import (
    MAX_RULES,
    change_rule,
    create_rule,
    delete_rule,
    load_rules,
    move_rule,
    names_of_groups,
    rule_of,
    set_rule_enabled,
)

ACTS: dict[str, Callable[..., object]] = {
    "up": partial(move_rule, places=-1),
    "down": partial(move_rule, places=1),
    "on": partial(set_rule_enabled, is_enabled=True),
    "off": partial(set_rule_enabled, is_enabled=False),
}
# No short name of an app.
NO_APP = "-"
# What is said afterwards.
DONE = {
    "on": gettext_lazy("“%(name)s” is in use."),
    "off": gettext_lazy("“%(name)s” is not in use any more."),
}


class AppFilter(ChoiceFilter):
    """The rules of one app, or those without one."""

    title = gettext_lazy("app")
    parameter_name = "app"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        apps = App.objects.filter(rules__isnull=False).distinct()
        found: list[Option] = [(app.slug, app.name, Q(app=app)) for app in apps]
        return [*found, (NO_APP, _("No app"), Q(app=None))] if found else []


@admin.register(AccessRule, site=site)
class AccessRuleAdmin(ServiceFormAdmin):
    """The rules in order."""

    title = gettext_lazy("Access rules")
    add_title = gettext_lazy("Add a rule")
    menu_group = MenuGroup.ACCESS
    menu_position = 10
    help_page = "forward-auth-rules"
    menu_pages = (("admin:forward_auth_try", gettext_lazy("Try a request")),)
    form = RuleForm
    ordering: ClassVar[tuple[str, ...]] = ("position", "pk")
    empty_text = gettext_lazy(
        "There is no rule yet. Add the first to say who may reach what on the sites behind a proxy "
        "that asks this server."
    )
    empty_page = ("admin:forward_auth_accessrule_add", gettext_lazy("Add a rule"))
    list_per_page = MAX_RULES
    list_display = ("label", "whom", "conditions", "of_app", "state", "acts")
    list_select_related = ("app",)
    list_filter = (AppFilter,)
    actions = None
    exempt_pages: ClassVar[frozenset[str]] = frozenset({"forward_auth_try"})
    repeatable: ClassVar[frozenset[str]] = frozenset({"methods", "group_ids"})
    change_list_template = "admin/forward_auth/accessrule/change_list.html"
    fieldsets = (
        (None, {"fields": ("name", "effect", "role", "group_ids")}),
        (
            gettext_lazy("Which requests it applies to"),
            {
                "fields": ("host", "path", "methods", "networks"),
                "description": gettext_lazy(
                    "All of these must match. An empty field always matches."
                ),
            },
        ),
        (None, {"fields": ("app", "is_enabled")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_owner(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_owner(request)

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.list_display if _is_owner(request) else self.list_display[:-1]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        ask = guard(require_http_methods(["GET", "HEAD", "POST"])(self.try_view))
        act = guard(require_POST(self.act_view))
        return [
            path("try/", ask, name="forward_auth_try"),
            path(
                "<uuid:key>/move/<slug:way>/",
                act,
                {"ways": ("up", "down")},
                "forward_auth_accessrule_move",
            ),
            path(
                "<uuid:key>/switch/<slug:way>/",
                act,
                {"ways": ("on", "off")},
                "forward_auth_accessrule_switch",
            ),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("name"))
    def label(self, row: AccessRule) -> str:
        return row.name

    @admin.display(description=gettext_lazy("allows"))
    def whom(self, row: AccessRule) -> SafeString:
        return audience_badge(row.effect, row.role, getattr(row, "group_names", ()))

    @admin.display(description=gettext_lazy("applies to"))
    def conditions(self, row: AccessRule) -> str:
        return conditions_cell(rule_of(row))

    @admin.display(description=gettext_lazy("app"))
    def of_app(self, row: AccessRule) -> str:
        return app_link(row.app) if row.app else NOTHING

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: AccessRule) -> SafeString:
        if not row.is_enabled:
            return badge("plain", _("Not in use"))
        if getattr(row, "is_unreachable", False):
            return badge("warn", _("Never reached"))
        return badge("good", _("In use"))

    @admin.display(description=gettext_lazy("change"))
    def acts(self, row: AccessRule) -> SafeString:
        switch = ("off", _("Stop using")) if row.is_enabled else ("on", _("Use"))
        buttons = [
            _button("move", row, "up", "↑", _("Move up")),
            _button("move", row, "down", "↓", _("Move down")),
            _button("switch", row, *switch),
        ]
        return format_html('<span class="rule-acts">{}{}{}</span>', *buttons)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        answer = super().changelist_view(request, {"warnings": _warnings()} | (extra_context or {}))
        changes = getattr(answer, "context_data", {}).get("cl")
        if changes is not None:
            rows = list(changes.result_list)
            _mark_unreachable_rules(rows)
            _name_groups(rows)
        return answer

    def save_model(self, request: HttpRequest, obj: AccessRule, form: Any, change: bool) -> None:
        write = change_rule if change else create_rule
        write(actor=acting_admin(request), rule=obj)

    def delete_model(self, request: HttpRequest, obj: AccessRule) -> None:
        delete_rule(actor=acting_admin(request), rule=obj)

    def try_view(self, request: HttpRequest) -> HttpResponse:
        """The page "Try a request"."""
        common = self.admin_site.each_context(request) | {"opts": self.opts}
        return simulation_page(request, common)

    def act_view(
        self, request: HttpRequest, key: UUID, way: str, ways: tuple[str, ...]
    ) -> HttpResponse:
        """Move a rule one place, or enable or disable it: one of ACTS."""
        row = AccessRule.objects.filter(pk=key).first()
        if row is None or way not in ways:
            raise Http404
        try:
            ACTS[way](actor=acting_admin(request), rule=row)
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            if way in DONE:
                messages.success(request, str(DONE[way]) % {"name": row.name})
        return redirect("admin:forward_auth_accessrule_changelist")


def _is_owner(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and user.role == Role.OWNER


def _button(act: str, row: AccessRule, way: str, text: str, label: str = "") -> SafeString:
    url = reverse(f"admin:forward_auth_accessrule_{act}", args=[row.pk, way])
    description = f"{label or text}: {row.name}"
    return format_html(
        '<button type="submit" class="mini" formaction="{}" aria-label="{}" title="{}">{}</button>',
        url, description, label or text, text,
    )  # fmt: skip


def _mark_unreachable_rules(rows: list[AccessRule]) -> None:
    """Mark enabled rules after one that matches every request, which a filter may hide."""
    reached = {rule.id for rule in reachable_rules(load_rules())}
    for row in rows:
        if row.is_enabled and str(row.pk) not in reached:
            cast("Any", row).is_unreachable = True


def _name_groups(rows: list[AccessRule]) -> None:
    """Set the names of the groups that each rule asks for, read once."""
    names = names_of_groups(rows)
    for row in rows:
        cast("Any", row).group_names = [names.get(key, key) for key in row.group_ids]


def _warnings() -> list[Any]:
    return [*self_registration_warnings(), *public_host_warnings(load_rules())]
