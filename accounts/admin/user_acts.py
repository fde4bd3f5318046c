"""What an operator may do to people from the panel: one table for single buttons and bulk actions.

Every act is one call of a service, in a transaction of its own for each person.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.errors import Forbidden, GatehouseError, LastOwner, RecordInvalid
from accounts.models import User
from accounts.services import authenticators, passwords, users
from accounts.services.sessions import end_sessions
from accounts.services.tokens import IssuedToken
from accounts.services.verification import mark_verified

Run = Callable[[User, User], Any]


@dataclass(frozen=True, slots=True)
class Act:
    """One act: `run` takes actor and person. label: of a button; bulk_label: in the list."""

    run: Run
    label: Any
    bulk_label: Any
    done: Any


def disable(actor: User, person: User) -> None:
    users.disable_user(actor=actor, user=person, reason="admin panel")


def enable(actor: User, person: User) -> None:
    users.enable_user(actor=actor, user=person)


def sign_out(actor: User, person: User) -> None:
    end_sessions(actor=actor, user=person)


def verify(actor: User, person: User) -> None:
    mark_verified(actor=actor, user=person)


def delete(actor: User, person: User) -> None:
    users.delete_user(actor=actor, user=person)


def start_reset(actor: User, person: User) -> IssuedToken:
    """The link and its end. Not for oneself: it would sign the operator out before they read it."""
    if actor.pk == person.pk:
        raise RecordInvalid({"user": [_("change your own password on your account page")]})
    return passwords.begin_reset(actor=actor, user=person)


def reset_factors(actor: User, person: User) -> int:
    """How many factors are gone."""
    return authenticators.reset_factors(actor=actor, user=person)


# By name in the address of the button; each has a bulk twin.
ACTS: dict[str, Act] = {
    "disable": Act(
        disable,
        gettext_lazy("Disable"),
        gettext_lazy("Disable"),
        gettext_lazy("Disabled: the person is signed out everywhere and cannot sign in."),
    ),
    "enable": Act(
        enable,
        gettext_lazy("Enable"),
        gettext_lazy("Enable"),
        gettext_lazy("Enabled: the person may sign in again."),
    ),
    "end-sessions": Act(
        sign_out,
        gettext_lazy("Sign out everywhere"),
        gettext_lazy("End sessions (sign out everywhere)"),
        gettext_lazy("Signed out everywhere."),
    ),
    "verify": Act(
        verify,
        gettext_lazy("Mark address as verified"),
        gettext_lazy("Mark address as verified"),
        gettext_lazy("The address counts as verified."),
    ),
}


@dataclass(slots=True)
class Tally:
    """What came of an act on several people: how many were done, how many skipped and why."""

    done: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    results: list[tuple[User, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        """`3 done, 2 skipped: rank`."""
        parts = [_("%(count)d done") % {"count": self.done}]
        for reason, count in sorted(self.skipped.items()):
            parts.append(_("%(count)d skipped: %(reason)s") % {"count": count, "reason": reason})
        return ", ".join(parts)


def chosen_people(
    request: HttpRequest, people: "QuerySet[User]", maximum: int
) -> list[User] | None:
    """The people of a bulk action; None, and the operator is told, when there are too many."""
    chosen = list(people[: maximum + 1])
    if len(chosen) <= maximum:
        return chosen
    text = _("Nothing was changed: choose at most %(maximum)d people at once.")
    messages.warning(request, text % {"maximum": maximum})
    return None


def act_on_each(actor: User, people: Iterable[User], run: Run) -> Tally:
    """Run an act on each person, the actor himself last, so that his rank lasts to the end."""
    tally = Tally()
    for person in sorted(people, key=lambda one: one.pk == actor.pk):
        try:
            with transaction.atomic():
                result = run(actor, person)
        except GatehouseError as error:
            tally.skipped[_reason(error)] += 1
        else:
            tally.done += 1
            tally.results.append((person, result))
    return tally


def _reason(error: GatehouseError) -> str:
    if isinstance(error, LastOwner):
        return _("last owner")
    if isinstance(error, Forbidden):
        return _("rank")
    return error.sentences.rstrip(".")


def report(request: HttpRequest, tally: Tally) -> None:
    """Tell the operator what came of it, in a session that is still alive."""
    sign_out_if_ended(request)
    level = messages.WARNING if tally.skipped else messages.SUCCESS
    messages.add_message(request, level, str(tally))


def sign_out_if_ended(request: HttpRequest) -> None:
    """Close the operator's own session in this browser if an act has ended it.

    Its row is gone then; writing a message into it would answer 400 instead of the result.
    """
    key = request.session.session_key
    if key is None or not request.session.exists(key):
        logout(request)
