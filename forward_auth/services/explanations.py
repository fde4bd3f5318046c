"""Decisions and the reasons of denials in sentences, in the language of the reader."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from forward_auth.decisions import Decision, Principal, Question, Step
from forward_auth.models import AccessRule
from forward_auth.rules.display import any_group
from forward_auth.rules.matching import Requirement
from forward_auth.services.simulation import Subject

QUESTIONS: dict[Question, Any] = {
    Question.PUBLIC: gettext_lazy("Is it public?"),
    Question.NETWORK: gettext_lazy("Does the key work from this address?"),
    Question.CREDENTIAL: gettext_lazy("Is a user signed in who may act?"),
    Question.VERIFIED_EMAIL: gettext_lazy("Is the email address confirmed?"),
    Question.NOT_DENIED: gettext_lazy("Does the rule allow anyone?"),
    Question.ROLE: gettext_lazy("Is the role high enough?"),
    Question.GROUP: gettext_lazy("Is the user in one of the groups?"),
    Question.SCOPE: gettext_lazy("Does the key have the required scope?"),
}


class Reason(NamedTuple):
    """An error code in a few words for lists, and in a sentence for pages."""

    short: Any
    sentence: Any


REASONS: dict[str, Reason] = {
    "not_authenticated": Reason(
        gettext_lazy("Not signed in"),
        gettext_lazy(
            "The request had no credential, or the session has ended. A ban ends sessions, too."
        ),
    ),
    "forbidden": Reason(
        gettext_lazy("Role or rule"),
        gettext_lazy("The rule allows no one, or requires a higher role than the user had."),
    ),
    "banned": Reason(
        gettext_lazy("Banned"),
        gettext_lazy("The user was banned."),
    ),
    "account_disabled": Reason(
        gettext_lazy("Disabled"),
        gettext_lazy("The account was disabled."),
    ),
    "account_expired": Reason(
        gettext_lazy("Access ended"),
        gettext_lazy("The access of the account had ended by itself."),
    ),
    "service_account": Reason(
        gettext_lazy("This account does not sign in. It uses API keys."),
        gettext_lazy("A service account was used with something else than an API key."),
    ),
    "setup_pending": Reason(
        gettext_lazy("Not set up"),
        gettext_lazy("The account was not set up yet."),
    ),
    "email_unverified": Reason(
        gettext_lazy("Address not confirmed"),
        gettext_lazy("The email address was not confirmed yet."),
    ),
    "group_missing": Reason(
        gettext_lazy("Not in the group"),
        gettext_lazy("The user was in none of the groups that the rule or the app requires."),
    ),
    "not_named": Reason(
        gettext_lazy("Not named"),
        gettext_lazy("The app is open to some people only, and the user is none of them."),
    ),
    "network_refused": Reason(
        gettext_lazy("Wrong network"),
        gettext_lazy("The app opens from certain networks only, and the user came from another."),
    ),
    "closed_now": Reason(
        gettext_lazy("Outside the hours"),
        gettext_lazy("The app is open at certain hours only."),
    ),
    "second_factor_needed": Reason(
        gettext_lazy("No second factor"),
        gettext_lazy("The app needs a second factor, and the user signed in without one."),
    ),
    "scope_missing": Reason(
        gettext_lazy("Scope missing"),
        gettext_lazy("The API key has no scope for this method."),
    ),
    "api_key_invalid": Reason(
        gettext_lazy("Wrong API key"),
        gettext_lazy("The API key is unknown, revoked, expired, or not for this network."),
    ),
    "token_invalid": Reason(
        gettext_lazy("Wrong token"),
        gettext_lazy("The access token is unknown or revoked, or its session has ended."),
    ),
    "token_expired": Reason(
        gettext_lazy("Token expired"),
        gettext_lazy("The access token has expired. The app has to refresh it."),
    ),
}


def reason_of(code: str) -> Reason:
    """The text of a code; an unknown code is returned unchanged."""
    return REASONS.get(code, Reason(code, ""))


def requirement_text(requirement: Requirement) -> str:
    """Whom a rule or the default allows."""
    if requirement.is_denied:
        return _("allows no one")
    if requirement.min_role is None:
        return _("allows everyone")
    label = dict(AccessRule.LEVELS).get(requirement.min_role.value, requirement.min_role.value)
    if not requirement.groups:
        return _("requires the role %(role)s") % {"role": label}
    words = {"role": label, "groups": groups_text(requirement)}
    return _("requires the role %(role)s and a group: %(groups)s") % words


def groups_text(requirement: Requirement) -> str:
    """The groups that are required: `finance or staff`."""
    return "; ".join(any_group(names) for names in requirement.groups)


def explain_step(step: Step, subject: Subject, decision: Decision) -> str:
    """Why a question was answered as it was; "" if there is nothing to add."""
    role = subject.user.get_role_display() if subject.user else ""
    match step.question:
        case Question.CREDENTIAL if subject.note:
            return subject.note
        case Question.NOT_DENIED if not step.is_passed:
            return _("the rule allows no one")
        case Question.ROLE:
            words = {"takes": requirement_text(decision.requirement), "role": role}
            return _("%(takes)s; the user has %(role)s") % words
        case Question.GROUP:
            return _explain_groups(subject, decision)
    return "" if step.is_passed else str(reason_of(decision.code).sentence)


def _explain_groups(subject: Subject, decision: Decision) -> str:
    found = subject.auth_result
    held = found.groups if isinstance(found, Principal) else ()
    words = {"groups": groups_text(decision.requirement), "held": ", ".join(held)}
    if not held:
        return _("requires a group: %(groups)s; the user is in none") % words
    return _("requires a group: %(groups)s; the user is in %(held)s") % words
