"""Bans in the user list: the actions "Ban…" and "Lift ban", and the badge "Banned"."""

from collections.abc import Mapping
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.actors import Actor
from accounts.admin.actions import CONFIRMED, PageAction, user_action
from accounts.admin.base import acting_admin
from accounts.admin.bulk_actions import MAX_ROWS
from accounts.admin.columns import moment
from accounts.admin.users.actions import chosen_users, report, run_on_users
from accounts.admin.users.filters import badges_of, user_badge
from accounts.admin.users.list_columns import ListColumn, user_state_detail
from accounts.admin.users.preview import Question, ask, by_rank, preview_page, unless
from accounts.models import User
from core.errors import RecordInvalid
from moderation.admin.forms import BanForm
from moderation.models import Ban
from moderation.reasons import shown
from moderation.services.bans import active_bans, ban, lift_all


def _ban_annotations() -> Mapping[str, Subquery]:
    """Reason and end of the newest ban in force."""
    newest = active_bans().filter(user=OuterRef("pk")).order_by("-pk")
    return {
        "ban_reason": Subquery(newest.values("reason")[:1]),
        "ban_until": Subquery(newest.values("until")[:1]),
    }


def _ban_detail(user: Any) -> str:
    """Why a banned user is banned and how long; "" for all others."""
    reason = getattr(user, "ban_reason", None)
    if reason is None:
        return ""
    end = moment(user.ban_until, empty=_("until it is lifted"))
    return format_html("{} · {}", shown(reason), end) if reason else end


BANNED = "banned"
user_badge(BANNED, gettext_lazy("Banned"), active_bans)
user_state_detail(BANNED, ListColumn(gettext_lazy("ban"), _ban_annotations, _ban_detail))


def _bears_badge(user: User) -> bool:
    return BANNED in badges_of(user)


@user_action(
    description=gettext_lazy("Ban…"),
    on_page=PageAction(
        "access",
        gettext_lazy("Ban…"),
        is_useful=lambda user: not _bears_badge(user),
        is_danger=True,
    ),
)
def ban_people(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse | None:
    """Ban users, after a page that asks how long and why and lists who is affected."""
    users = chosen_users(request, queryset, MAX_ROWS)
    if users is None:
        return None
    actor = acting_admin(request)
    form = BanForm(request.POST if CONFIRMED in request.POST else None)
    if not form.is_valid():
        return _ask(modeladmin, request, users, form)
    duration, reason = form.cleaned_data["duration"], form.cleaned_data["reason"]

    def ban_user(actor: Actor, user: User) -> Ban:
        return ban(actor=actor, user=user, duration=duration, reason=reason)

    report(request, run_on_users(actor, users, ban_user))
    return None


def _ask(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, users: list[User], form: BanForm
) -> HttpResponse | None:
    """The confirmation page; None, and a warning, if none of the users can be banned."""
    actor = acting_admin(request)

    def refusal(user: User) -> str:
        return refusal_reason(actor, user)

    context = {"title": _("Ban people"), "form": form}
    return preview_page(
        modeladmin,
        request,
        users,
        [refusal],
        "admin/moderation/ban_people.html",
        lambda _affected: context,
        nothing=_("No one was banned. %(reasons)s"),
    )


def refusal_reason(actor: User, user: User) -> str:
    """Why `user` cannot be banned; "" if they can. The service decides again."""
    if actor.pk == user.pk:
        return _("You cannot ban yourself.")
    if not actor.can_manage(user):
        return _("You may only ban people whose role is below your own.")
    return ""


@user_action(
    description=gettext_lazy("Lift ban"),
    on_page=PageAction(
        "access",
        gettext_lazy("Lift ban"),
        gettext_lazy("Lift every ban of %(name)s that is in force? They may sign in again."),
        _bears_badge,
    ),
)
def lift_bans_of_people(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse | None:
    """Lift all bans of the chosen users that are in force."""
    users = chosen_users(request, queryset, MAX_ROWS)
    if users is None:
        return None
    actor = acting_admin(request)
    if CONFIRMED not in request.POST:
        rules = [by_rank(actor), unless(_bears_badge, gettext_lazy("They are not banned."))]
        return ask(modeladmin, request, users, rules, _LIFT)
    report(request, run_on_users(actor, users, _lift))
    return None


_LIFT = Question(
    gettext_lazy("Lift ban"),
    ngettext_lazy(
        "Lift every ban of this person that is in force? They may sign in again.",
        "Lift every ban of these %(count)d people that is in force? They may sign in again.",
        "count",
    ),
    gettext_lazy("Lift ban"),
)


def _lift(actor: Actor, user: User) -> int:
    count = lift_all(actor=actor, user=user)
    if not count:
        raise RecordInvalid({"user": [_("not banned")]})
    return count
