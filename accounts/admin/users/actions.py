"""What administrators may do to users: one table for the buttons and the bulk actions.

Each action is one call of a service.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.admin.bulk_actions import BulkResult, run_on_each
from accounts.admin.errors import tell_held
from accounts.admin.users.preview import (
    Refusal,
    by_rank,
    last_owner,
    own_account,
    unless,
    without_access,
)
from accounts.models import User
from accounts.services import passwords, users
from accounts.services.approvals.rule import recording
from accounts.services.email_tokens import IssuedToken
from accounts.services.sessions import end_sessions
from accounts.services.verification import mark_verified
from core.errors import Forbidden, GatehouseError, LastOwner, RecordInvalid

# Called with the keywords `actor` and `user`.
Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class UserAction:
    """An action on one user.

    label: of the button; bulk_label: in the list of actions; done: the message afterwards.
    question: what the page of the user asks before; %(name)s is the user. bulk_question: what is
    asked before the action is done for several, made by ngettext_lazy() with %(count)d. refusals:
    called with the administrator; whom the bulk action leaves out. group: of the button.
    """

    run: Run
    label: Any
    bulk_label: Any
    done: Any
    question: Any
    bulk_question: Any
    refusals: Callable[[User], list[Refusal]]
    group: str
    is_useful: Callable[[User], bool] = lambda _user: True


def start_reset(*, actor: User, user: User) -> IssuedToken:
    """A reset link. Not for the actor: it would sign them out before they could read it."""
    if actor.pk == user.pk:
        raise RecordInvalid({"user": [_("change your own password on your account page")]})
    return passwords.begin_reset(actor=actor, user=user)


# Name in the URL of the button -> action; each is a bulk action too.
USER_ACTIONS: dict[str, UserAction] = {
    "disable": UserAction(
        partial(users.disable_user, reason="admin panel"),
        gettext_lazy("Disable"),
        gettext_lazy("Disable"),
        gettext_lazy("Disabled: the person is signed out everywhere and cannot sign in."),
        gettext_lazy(
            "Disable the account of %(name)s? They are signed out everywhere, their API keys stop "
            "working, and they cannot sign in until you enable the account."
        ),
        ngettext_lazy(
            "Disable this account? The person is signed out everywhere, their API keys stop "
            "working, and they cannot sign in until you enable the account.",
            "Disable these %(count)d accounts? The people are signed out everywhere, their API "
            "keys stop working, and they cannot sign in until you enable the accounts.",
            "count",
        ),
        lambda actor: [
            by_rank(actor),
            unless(lambda user: user.is_active, gettext_lazy("They are disabled already.")),
            last_owner(),
        ],
        "access",
        lambda user: user.is_active,
    ),
    "enable": UserAction(
        users.enable_user,
        gettext_lazy("Enable"),
        gettext_lazy("Enable"),
        gettext_lazy("Enabled: the person may sign in again."),
        gettext_lazy(
            "Enable the account of %(name)s? They may sign in again. Sessions and API keys from "
            "before stay invalid."
        ),
        ngettext_lazy(
            "Enable this account? The person may sign in again. Sessions and API keys from before "
            "stay invalid.",
            "Enable these %(count)d accounts? The people may sign in again. Sessions and API keys "
            "from before stay invalid.",
            "count",
        ),
        lambda actor: [
            by_rank(actor),
            unless(lambda user: not user.is_active, gettext_lazy("They are not disabled.")),
        ],
        "access",
        lambda user: not user.is_active,
    ),
    "end-sessions": UserAction(
        end_sessions,
        gettext_lazy("Sign out everywhere"),
        gettext_lazy("End sessions (sign out everywhere)"),
        gettext_lazy("Signed out everywhere."),
        gettext_lazy(
            "Sign %(name)s out everywhere? All devices and programs are signed out, and links that "
            "were not used yet stop working. API keys stay valid."
        ),
        ngettext_lazy(
            "Sign this person out everywhere? All devices and programs are signed out, and links "
            "that were not used yet stop working. API keys stay valid.",
            "Sign these %(count)d people out everywhere? All devices and programs are signed out, "
            "and links that were not used yet stop working. API keys stay valid.",
            "count",
        ),
        lambda actor: [by_rank(actor, may_be_self=True)],
        "sessions",
    ),
    "verify": UserAction(
        mark_verified,
        gettext_lazy("Mark address as verified"),
        gettext_lazy("Mark address as verified"),
        gettext_lazy("The address counts as verified."),
        gettext_lazy(
            "Mark the address of %(name)s as verified? Do this only if you know that the address "
            "is theirs. It cannot be undone."
        ),
        ngettext_lazy(
            "Mark this address as verified? Do this only if you know that the address is theirs. "
            "It cannot be undone.",
            "Mark these %(count)d addresses as verified? Do this only if you know that each "
            "address is theirs. It cannot be undone.",
            "count",
        ),
        lambda actor: [
            by_rank(actor),
            unless(lambda user: not user.is_verified, gettext_lazy("Their address is verified.")),
        ],
        "sign-in",
        lambda user: not user.is_verified,
    ),
}


def reset_refusals(actor: User) -> list[Refusal]:
    """Whom a bulk password reset leaves out; see start_reset()."""
    own = own_account(actor, _("Change your own password on your account page."))
    return [by_rank(actor), own, without_access]


def chosen_users(request: HttpRequest, users: "QuerySet[User]", maximum: int) -> list[User] | None:
    """The users of a bulk action; None, and a warning message, if there are more than `maximum`."""
    chosen = list(users[: maximum + 1])
    if len(chosen) <= maximum:
        return chosen
    text = _("Nothing was changed: choose at most %(maximum)d people at once.")
    messages.warning(request, text % {"maximum": maximum})
    return None


def run_on_users(actor: User, users: Iterable[User], run: Run) -> BulkResult:
    """Run an action on each user, in a transaction of its own.

    The actor comes last, so that they keep their role until the end.
    """

    def run_on_user(user: User) -> Any:
        with recording(), transaction.atomic():
            return run(actor=actor, user=user)

    return run_on_each(sorted(users, key=lambda user: user.pk == actor.pk), run_on_user, _reason)


def _reason(error: GatehouseError) -> str:
    if isinstance(error, LastOwner):
        return _("last owner")
    if isinstance(error, Forbidden):
        return _("rank")
    return error.sentences.rstrip(".")


def report(request: HttpRequest, result: BulkResult) -> None:
    """Add one message that tells the outcome, in a session that still exists."""
    sign_out_if_ended(request)
    level = messages.WARNING if result.skipped else messages.SUCCESS
    messages.add_message(request, level, str(result))
    tell_held(request, result.held)


def sign_out_if_ended(request: HttpRequest) -> None:
    """Sign the administrator out if the action has ended their own session.

    The session row is gone then, and a message written into it would turn the answer into a 400.
    """
    key = request.session.session_key
    if key is None or not request.session.exists(key):
        logout(request)
