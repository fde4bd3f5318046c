"""What a bulk action will leave out, told before the administrator confirms it.

The services decide again, one user at a time: what changes in the meantime is told afterwards.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.admin.actions import confirmation_page
from accounts.admin.base import acting_admin
from accounts.models import User

# Why the action will not be done for a user; "" if it will.
Refusal = Callable[[User], str]


def preview_page(
    modeladmin: "ModelAdmin[User]",
    request: HttpRequest,
    users: list[User],
    refusals: Iterable[Refusal],
    template: str,
    context: Callable[[list[User]], dict[str, Any]],
    nothing: str = "",
) -> HttpResponse | None:
    """The confirmation page with two lists: who is affected, and who is left out and why.

    None, and a warning message, if no user is affected. context: called with the affected users.
    nothing: that message, with %(reasons)s.
    """
    actor = acting_admin(request)
    rules = list(refusals)
    affected: list[User] = []
    left_out: list[tuple[User, str]] = []
    # In the order of run_on_users(): the actor comes last.
    for user in sorted(users, key=lambda user: user.pk == actor.pk):
        reason = next((found for rule in rules if (found := rule(user))), "")
        if reason:
            left_out.append((user, reason))
        else:
            affected.append(user)
    if not affected:
        reasons = " ".join(sorted({reason for _user, reason in left_out}))
        text = nothing or _("Nothing was changed. %(reasons)s")
        messages.warning(request, text % {"reasons": reasons})
        return None
    lists = {"people": affected, "left_out": left_out, "actor_id": actor.pk}
    return confirmation_page(modeladmin, request, template, lists | context(affected))


class Question(NamedTuple):
    """What is asked before a bulk action that needs no other input.

    text: made by ngettext_lazy() with %(count)d. label: of the button that confirms.
    """

    title: Any
    text: Any
    label: Any


def ask(
    modeladmin: "ModelAdmin[User]",
    request: HttpRequest,
    users: list[User],
    refusals: Iterable[Refusal],
    question: Question,
) -> HttpResponse | None:
    """See preview_page(); with a sentence and a button."""

    def context(affected: list[User]) -> dict[str, Any]:
        text = question.text % {"count": len(affected)}
        return {"title": question.title, "question": text, "label": question.label}

    template = "admin/accounts/user/ask.html"
    return preview_page(modeladmin, request, users, refusals, template, context)


def by_rank(actor: User, *, may_be_self: bool = False) -> Refusal:
    """Refuses users whose role is not below that of the administrator, who may be an owner."""

    def refusal(user: User) -> str:
        if actor.can_manage(user) or (may_be_self and actor.pk == user.pk):
            return ""
        return _("Their role is not below yours.")

    return refusal


def own_account(actor: User, reason: str) -> Refusal:
    """Refuses the administrator's own account."""
    return lambda user: reason if user.pk == actor.pk else ""


def unless(is_useful: Callable[[User], bool], reason: Any) -> Refusal:
    """Refuses users who are in no state that the action changes."""
    return lambda user: "" if is_useful(user) else str(reason)


def without_access(user: User) -> str:
    """Refuses users whose account may not act now, with the reason of the access policy."""
    denial = access_policy.get_denial(user)
    return "" if denial is None else denial.message


def last_owner() -> Refusal:
    """Refuses the owner who would be the last one to go.

    It counts whom it has not refused, so ask it for each user in their order.
    """
    owners = {user.pk for user in User.objects.active_owners() if access_policy.may_act(user)}

    def refusal(user: User) -> str:
        if not owners - {user.pk} and User.objects.active_owners().filter(pk=user.pk).exists():
            return _("The last active owner must stay.")
        owners.discard(user.pk)
        return ""

    return refusal


def without_factor(user: User) -> str:
    """Refuses users who have no second factor."""
    return "" if user.authenticators.exists() else _("They have no second factor.")
