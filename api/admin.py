"""API keys in the admin panel: which there are, whose, and how used; never a key itself."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.base import SEARCH_MAX_LENGTH, FactAdmin, panel_actor
from accounts.admin.cells import NOTHING, moment
from accounts.admin.fact_acts import ACT_MAXIMUM, act_on_rows
from accounts.admin.fact_cells import badge, person_link
from accounts.admin.site import site
from accounts.admin.user_filters import ChoiceFilter, Choices
from accounts.models import User
from api.keyformat import ID, shown_id
from api.models import ApiKey
from api.services.apikeys import ended_condition, live_condition, revoke_key, state_of

PEOPLE_FOUND = 50
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("live")),
    "revoked": ("bad", gettext_lazy("revoked")),
    "expired": ("plain", gettext_lazy("expired")),
    "ended": ("plain", gettext_lazy("ended")),
}


class KeyStateFilter(ChoiceFilter):
    """The same states as state_of()."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> Choices:
        return [(name, label) for name, (_tone, label) in STATES.items()]

    def conditions(self) -> dict[str, Q]:
        now = timezone.now()
        is_open = Q(revoked_at=None)
        is_past = Q(expires_at__isnull=False, expires_at__lte=now)
        return {
            "live": live_condition(now),
            "revoked": ~is_open,
            "expired": is_open & is_past,
            "ended": is_open & ~is_past & ended_condition(),
        }


@admin.register(ApiKey, site=site)
class ApiKeyAdmin(FactAdmin):
    """Everybody's API keys."""

    title = gettext_lazy("API keys")
    # The id is random; this has an index.
    ordering: ClassVar[tuple[str, ...]] = ("-created_at",)
    list_display = ("named", "person", "state_badge", "may", "end", "used")
    list_filter = (KeyStateFilter,)
    # Not looked up as fields: get_search_results() decides; Django shows the box for it.
    search_fields = ("id",)
    search_help_text = gettext_lazy("An id, or part of the owner's address or name")
    actions = ("revoke_chosen",)
    exempt_actions = frozenset({"revoke_chosen"})
    facts: ClassVar[tuple[str, ...]] = (
        "shown",
        "name",
        "person",
        "state_badge",
        "may",
        "from_where",
        "created_at",
        "expires_at",
        "revoked_at",
        "rotated_at",
        "last_used_at",
        "last_used_ip",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ApiKey]":
        found: QuerySet[ApiKey] = super().get_queryset(request)
        return found.defer("digest").select_related("user")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> ApiKey | None:
        """By id and by nothing else."""
        if not ID.fullmatch(object_id):
            return None
        found: ApiKey | None = self.get_queryset(request).filter(pk=object_id).first()
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[ApiKey]", search_term: str
    ) -> "tuple[QuerySet[ApiKey], bool]":
        """By id, as lists show it too; else by at most PEOPLE_FOUND owners."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        people = list(User.objects.search(text).values_list("pk", flat=True)[:PEOPLE_FOUND])
        return queryset.filter(Q(pk=shown_id(text)) | Q(user_id__in=people)), False

    def response_action(  # type: ignore[override]  # the stubs follow a later Django
        self, request: HttpRequest, queryset: "QuerySet[ApiKey]"
    ) -> HttpResponse | None:
        """Refuses ticks that are no ids."""
        ticks = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if len(ticks) > ACT_MAXIMUM or not all(ID.fullmatch(tick) for tick in ticks):
            text = _("Nothing was changed: please tick at most %(maximum)d rows of the list.")
            messages.warning(request, text % {"maximum": ACT_MAXIMUM})
            return None
        return super().response_action(request, queryset)

    @admin.display(description=gettext_lazy("key"))
    def shown(self, key: ApiKey) -> SafeString:
        return format_html("<code>{}</code>", str(key))

    @admin.display(description=gettext_lazy("name"))
    def named(self, key: ApiKey) -> SafeString:
        return format_html('{} <span class="quiet">{}</span>', key.name, str(key))

    @admin.display(description=gettext_lazy("person"))
    def person(self, key: ApiKey) -> str:
        return person_link(key.user_id, key.user.email)

    @admin.display(description=gettext_lazy("state"))
    def state_badge(self, key: ApiKey) -> SafeString:
        return badge(*STATES[state_of(key, timezone.now())])

    @admin.display(description=gettext_lazy("scopes"))
    def may(self, key: ApiKey) -> str:
        return _listed(key.scopes)

    @admin.display(description=gettext_lazy("networks"))
    def from_where(self, key: ApiKey) -> str:
        return _listed(key.networks) or _("everywhere")

    @admin.display(description=gettext_lazy("ends"))
    def end(self, key: ApiKey) -> str:
        return moment(key.expires_at, empty=_("never"))

    @admin.display(description=gettext_lazy("last used"))
    def used(self, key: ApiKey) -> str | SafeString:
        if key.last_used_at is None:
            return NOTHING
        beside = key.last_used_ip or NOTHING
        return format_html('{} <span class="quiet">{}</span>', moment(key.last_used_at), beside)

    @admin.action(description=gettext_lazy("Revoke"), permissions=["act"])
    def revoke_chosen(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        """End the chosen keys; those of people of higher rank, and revoked ones, stay."""
        actor = panel_actor(request)
        act_on_rows(
            request,
            list(queryset[:ACT_MAXIMUM]),
            lambda key: revoke_key(actor=actor, key=key),
            lambda count: (
                ngettext("%(count)d key is revoked.", "%(count)d keys are revoked.", count)
                % {"count": count}
            ),
        )


def _listed(texts: Any) -> str:
    """The texts of a JSON column, which may hold anything; such a key opens nothing (keychecks)."""
    return ", ".join(map(str, texts)) if isinstance(texts, list) else _("cannot be read")
