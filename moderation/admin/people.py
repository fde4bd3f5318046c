"""Bans in the user list: the actions "Ban…" and "Lift ban", and the word beside the state."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.admin.actions import CONFIRMED, confirmation_page, user_action
from accounts.admin.base import acting_admin
from accounts.admin.user_actions import chosen_users, report, run_on_users
from accounts.admin.user_filters import user_badge
from accounts.models import User
from accounts.services.users import is_last_owner
from core.errors import RecordInvalid
from moderation.admin.forms import BanForm
from moderation.models import Ban
from moderation.services.bans import active_bans, ban, lift_all

PEOPLE_MAXIMUM = 500


def _is_banned() -> Exists:
    return Exists(active_bans().filter(user=OuterRef("pk")))


user_badge("banned", gettext_lazy("Banned"), _is_banned)


@user_action(description=gettext_lazy("Ban…"))
def ban_people(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse | None:
    """Asks how long and why and names who is affected; bans each, and tells who was left out."""
    people = chosen_users(request, queryset, PEOPLE_MAXIMUM)
    if people is None:
        return None
    actor = acting_admin(request)
    form = BanForm(request.POST if CONFIRMED in request.POST else None)
    if not form.is_valid():
        return _ask(modeladmin, request, people, form)
    duration, reason = form.cleaned_data["duration"], form.cleaned_data["reason"]

    def lay(giver: Actor, person: User) -> Ban:
        return ban(actor=giver, user=person, duration=duration, reason=reason)

    report(request, run_on_users(actor, people, lay))
    return None


def _ask(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, people: list[User], form: BanForm
) -> HttpResponse | None:
    """The page in between; none when nobody of the chosen can be banned."""
    refusals = [(person, refusal_reason(acting_admin(request), person)) for person in people]
    affected = [person for person, refusal in refusals if not refusal]
    left_out = [(person, refusal) for person, refusal in refusals if refusal]
    if not affected:
        reasons = " ".join(sorted({refusal for _person, refusal in left_out}))
        text = _("Nobody was banned. %(reasons)s") % {"reasons": reasons}
        messages.warning(request, text)
        return None
    context = {
        "title": _("Ban people"),
        "people": affected,
        "left_out": left_out,
        "form": form,
    }
    return confirmation_page(modeladmin, request, "admin/moderation/ban_people.html", context)


def refusal_reason(actor: User, person: User) -> str:
    """Why the panel does not offer to ban `person`; "" when it does. The service decides again."""
    if actor.pk == person.pk:
        return _("You cannot ban yourself.")
    if not actor.can_manage(person):
        return _("You may only ban people whose role is below your own.")
    if is_last_owner(person):
        return _("The last active owner is never banned.")
    return ""


@user_action(description=gettext_lazy("Lift ban"))
def lift_bans_of_people(
    _modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> None:
    """Lift all bans in force of the chosen people, of lower rank."""
    people = chosen_users(request, queryset, PEOPLE_MAXIMUM)
    if people is not None:
        report(request, run_on_users(acting_admin(request), people, _lift))


def _lift(actor: Any, person: User) -> int:
    count = lift_all(actor=actor, user=person)
    if not count:
        raise RecordInvalid({"user": [_("not banned")]})
    return count
