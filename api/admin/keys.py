"""API keys in the admin: owners, states and last use; never the key itself."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, ReadOnlyAdmin, acting_admin
from accounts.admin.bulk_actions import MAX_ROWS, run_on_rows
from accounts.admin.columns import badge, moment, moment_column, used_cell, user_link, with_detail
from accounts.admin.dashboard.content import UNUSED_AFTER
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, Option
from accounts.models import User
from api.apikeys.key_format import ID, shown_id
from api.apikeys.services import ended_condition, live_condition, revoke_key, state_of
from api.models import ApiKey

OWNERS_SEARCHED = 50
EXPIRES_SOON = timedelta(days=14)
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("live")),
    "revoked": ("bad", gettext_lazy("revoked")),
    "expired": ("plain", gettext_lazy("expired")),
    "ended": ("plain", gettext_lazy("ended")),
}


class KeyStateFilter(ChoiceFilter):
    """The states of api.apikeys.services.state_of()."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        is_open = Q(revoked_at=None)
        is_past = Q(expires_at__isnull=False, expires_at__lte=now)
        conditions = {
            "live": live_condition(now),
            "revoked": ~is_open,
            "expired": is_open & is_past,
            "ended": is_open & ~is_past & ended_condition(),
        }
        return [(state, text, conditions[state]) for state, (_tone, text) in STATES.items()]


class KeyUseFilter(ChoiceFilter):
    """Live keys that an administrator may want to revoke or renew."""

    title = gettext_lazy("to look at")
    parameter_name = "look"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        now = timezone.now()
        live = live_condition(now)
        return [
            ("unused", gettext_lazy("Not used for 90 days"), live & unused_condition(now)),
            ("expiring", gettext_lazy("Expires within 14 days"), live & expiring_condition(now)),
        ]


def unused_condition(now: datetime) -> Q:
    """The condition for keys that were not used for UNUSED_AFTER, and are older than that."""
    before = now - UNUSED_AFTER
    return Q(created_at__lt=before) & (Q(last_used_at=None) | Q(last_used_at__lt=before))


def expiring_condition(now: datetime) -> Q:
    """The condition for keys that expire within EXPIRES_SOON, if no other has replaced them."""
    return Q(expires_at__gt=now, expires_at__lt=now + EXPIRES_SOON, rotated_at=None)


@admin.register(ApiKey, site=site)
class ApiKeyAdmin(ReadOnlyAdmin):
    """The API keys of all users."""

    title = gettext_lazy("API keys")
    menu_group = MenuGroup.ACCESS
    menu_position = 40
    help_page = "api-keys"
    # Ids are random; `created_at` has an index.
    ordering: ClassVar[tuple[str, ...]] = ("-created_at",)
    list_display = ("named", "person", "state_badge", "may", "end", "used", "made")
    list_filter = (KeyStateFilter, KeyUseFilter)
    sortable_by = ("end", "made")
    empty_text = gettext_lazy(
        "People make API keys for their scripts on their account page; each key is listed here."
    )
    # get_search_results() does the search; Django shows the search box only if this is set.
    search_fields = ("id",)
    search_help_text = gettext_lazy("An id, or part of the owner's address or name")
    actions = ("revoke_chosen",)
    exempt_actions = frozenset({"revoke_chosen"})
    detail_fields: ClassVar[tuple[str, ...]] = (
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
        """Look the key up by id only."""
        if not ID.fullmatch(object_id):
            return None
        found: ApiKey | None = self.get_queryset(request).filter(pk=object_id).first()
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[ApiKey]", search_term: str
    ) -> "tuple[QuerySet[ApiKey], bool]":
        """Search by key id, in full or as lists show it, and by at most OWNERS_SEARCHED owners."""
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        owner_ids = User.objects.found_ids(text, OWNERS_SEARCHED)
        return queryset.filter(Q(pk=shown_id(text)) | Q(user_id__in=owner_ids)), False

    def response_action(  # type: ignore[override]  # the stubs follow a later Django
        self, request: HttpRequest, queryset: "QuerySet[ApiKey]"
    ) -> HttpResponse | None:
        """Reject selected values that are not key ids."""
        ticks = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if len(ticks) > MAX_ROWS or not all(ID.fullmatch(tick) for tick in ticks):
            text = _("Nothing was changed: please tick at most %(maximum)d rows of the list.")
            messages.warning(request, text % {"maximum": MAX_ROWS})
            return None
        return super().response_action(request, queryset)

    @admin.display(description=gettext_lazy("key"))
    def shown(self, key: ApiKey) -> SafeString:
        return format_html("<code>{}</code>", str(key))

    @admin.display(description=gettext_lazy("name"))
    def named(self, key: ApiKey) -> SafeString:
        return with_detail(key.name, str(key))

    @admin.display(description=gettext_lazy("person"))
    def person(self, key: ApiKey) -> str:
        return user_link(key.user_id, key.user.email)

    @admin.display(description=gettext_lazy("state"))
    def state_badge(self, key: ApiKey) -> SafeString:
        return badge(*STATES[state_of(key, timezone.now())])

    @admin.display(description=gettext_lazy("scopes"))
    def may(self, key: ApiKey) -> str:
        return listed(key.scopes)

    @admin.display(description=gettext_lazy("networks"))
    def from_where(self, key: ApiKey) -> str:
        return listed(key.networks) or _("everywhere")

    made = moment_column("created_at", gettext_lazy("created"))

    @admin.display(description=gettext_lazy("ends"), ordering="expires_at")
    def end(self, key: ApiKey) -> str:
        return moment(key.expires_at, empty=_("never"))

    @admin.display(description=gettext_lazy("last used"))
    def used(self, key: ApiKey) -> str | SafeString:
        if key.last_used_at is None:
            return _("never")
        return used_cell(key.last_used_at, key.last_used_ip)

    @admin.action(description=gettext_lazy("Revoke"), permissions=["action"])
    def revoke_chosen(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        """Revoke the selected keys. Skips revoked ones and those of users of higher rank."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda key: revoke_key(actor=actor, key=key),
            ngettext_lazy("%(count)d key is revoked.", "%(count)d keys are revoked.", "count"),
        )


def listed(texts: Any) -> str:
    """Join the texts of a JSON column. A key whose column is not a list is never accepted."""
    return ", ".join(map(str, texts)) if isinstance(texts, list) else _("cannot be read")
