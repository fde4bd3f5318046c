"""The page "Try a request": who would pass where, and why. It changes and counts nothing."""

from typing import Any, NamedTuple

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.read_only_columns import badge, user_link
from accounts.roles import Role
from core.client_ip import client_ip, parse_address
from forward_auth.admin.labels import conditions_cell, reason_of, rule_link, whom_badge
from forward_auth.decisions import identity_headers
from forward_auth.models import AccessRule
from forward_auth.rules.display import condition_name
from forward_auth.rules.matching import Demand
from forward_auth.rules.path_readings import MAX_LENGTH
from forward_auth.rules.validation import METHODS
from forward_auth.services.simulation import Asked, Bearer, bearer_named, try_request
from forward_auth.trace import Check, Explanation, Question, Standing, Step

STANDINGS: dict[Standing, tuple[str, Any]] = {
    Standing.FITS: ("good", gettext_lazy("Fits")),
    Standing.UNCLEAR: ("warn", gettext_lazy("Might fit")),
    Standing.OTHER: ("plain", gettext_lazy("Does not fit")),
    Standing.LATER: ("plain", gettext_lazy("Not asked")),
}
QUESTIONS: dict[Question, Any] = {
    Question.PUBLIC: gettext_lazy("Is it open to everybody?"),
    Question.NETWORK: gettext_lazy("Does the key work from this address?"),
    Question.CREDENTIAL: gettext_lazy("Is somebody signed in who may act?"),
    Question.PROOF: gettext_lazy("Is the email address confirmed?"),
    Question.OPEN: gettext_lazy("Is anybody let in at all?"),
    Question.ROLE: gettext_lazy("Is the role high enough?"),
    Question.SCOPE: gettext_lazy("Do the scopes of the key reach so far?"),
}


class TrialForm(forms.Form):
    """Who asks for what, how and from where."""

    who = forms.CharField(
        label=gettext_lazy("Who"),
        max_length=254,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Email address or user name, or the id of an API key (gth_…). Empty: nobody."
        ),
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=MAX_LENGTH,
        widget=AdminTextInputWidget(
            attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=gettext_lazy("As in the browser, like https://app.example.com/admin."),
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Method"), choices=[(name, name) for name in METHODS]
    )
    ip = forms.CharField(
        label=gettext_lazy("From network address"),
        max_length=45,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("That of the client. Empty: unknown."),
    )
    raised = forms.ChoiceField(
        label=gettext_lazy("The proxy asks for"),
        required=False,
        choices=[("", gettext_lazy("no role of its own")), *AccessRule.LEVELS],
        help_text=gettext_lazy("?role=… in the configuration of the proxy."),
    )

    def clean_who(self) -> Bearer:
        """Who is meant."""
        found = bearer_named(self.cleaned_data["who"])
        if found is None:
            raise forms.ValidationError(_("No account and no API key has this name."))
        return found

    def clean_url(self) -> str:
        """With a scheme, as proxies send it."""
        url: str = self.cleaned_data["url"]
        return url if "://" in url else f"https://{url}"

    def clean_ip(self) -> str:
        text: str = self.cleaned_data["ip"]
        address = parse_address(text) if text else None
        if text and address is None:
            raise forms.ValidationError(_("This is no network address."))
        return str(address) if address else ""

    def asked(self) -> Asked:
        """What was typed. Call it on a valid form."""
        typed = self.cleaned_data
        raised = Role(typed["raised"]) if typed["raised"] else None
        return Asked(typed["url"], typed["method"], typed["ip"], raised)


class RuleRow(NamedTuple):
    """One line of the table of rules."""

    name: SafeString
    whom: SafeString
    conditions: str | SafeString
    standing: SafeString
    why: str
    decides: bool


class CheckRow(NamedTuple):
    """One line of the table of questions."""

    question: str
    answer: SafeString
    why: str


def trial_page(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """The form; with an answer when something is asked, by the form or by a link."""
    initial = {"method": "GET", "ip": client_ip(request)}
    data = request.POST if request.method == "POST" else request.GET
    form = TrialForm(initial | data.dict() if "url" in data else None, initial=initial)
    result = _result(form) if form.is_bound and form.is_valid() else None
    context = {"title": _("Try a request"), "form": form, "result": result}
    return render(request, "admin/forward_auth/try.html", common | context)


def _result(form: TrialForm) -> dict[str, Any]:
    bearer: Bearer = form.cleaned_data["who"]
    asked = form.asked()
    found = try_request(asked, bearer)
    return {
        "status": found.status,
        "is_passed": found.status == 204,
        "headline": _headline(found, bearer),
        "decision": _decision(found),
        "asked": asked,
        "who": _who(bearer),
        # Which reading decides, where there are several.
        "path": found.path if found.readings > 1 else "",
        "unclear": [condition_name(one) for one in sorted(found.unclear)],
        "rules": [_rule_row(step, found.demand) for step in found.steps],
        "default_decides": not found.demand.rule_id,
        "default": _takes(found.demand) if not found.demand.rule_id else "",
        "why": "" if found.status == 204 else _check_why(found.checks[-1], bearer, found),
        "checks": [
            _check_row(check, bearer, found)
            for check in found.checks
            if check.question is not Question.SCOPE or bearer.key is not None
        ],
        "headers": _headers(found),
    }


def _headline(found: Explanation, bearer: Bearer) -> str:
    if found.status == 204:
        return _("This request passes.")
    if found.status == 401 and bearer.key is None:
        return _("This request is refused: sign-in first.")
    return _("This request is refused.")


def _decision(found: Explanation) -> str | SafeString:
    """Which rule decides, with a link."""
    for step in found.steps:
        if step.rule.id == found.demand.rule_id:
            return rule_link(step.rule.id, step.rule.name)
    return _("no rule: the default")


def _who(bearer: Bearer) -> str | SafeString:
    if bearer.user is None:
        return _("nobody")
    return user_link(bearer.user.pk, bearer.user.email)


def _takes(demand: Demand) -> str:
    if demand.is_denied:
        return _("lets nobody in")
    if demand.floor is None:
        return _("lets everybody in")
    label = dict(AccessRule.LEVELS).get(demand.floor.value, demand.floor.value)
    return _("takes the role %(role)s") % {"role": label}


def _rule_row(step: Step, demand: Demand) -> RuleRow:
    misfits = ", ".join(condition_name(one) for one in step.misfits)
    texts = {
        Standing.FITS: "",
        Standing.UNCLEAR: _("not clear: %(conditions)s") % {"conditions": misfits},
        Standing.OTHER: misfits,
        Standing.LATER: _("a rule before it fits"),
    }
    return RuleRow(
        name=rule_link(step.rule.id, step.rule.name),
        whom=whom_badge(step.rule.effect, step.rule.role),
        conditions=conditions_cell(step.rule),
        standing=badge(*STANDINGS[step.standing]),
        why=texts[step.standing],
        decides=step.rule.id == demand.rule_id,
    )


def _check_row(check: Check, bearer: Bearer, found: Explanation) -> CheckRow:
    answer = badge("good", _("Yes")) if check.is_passed else badge("bad", _("No"))
    return CheckRow(str(QUESTIONS[check.question]), answer, _check_why(check, bearer, found))


def _check_why(check: Check, bearer: Bearer, found: Explanation) -> str:
    role = bearer.user.get_role_display() if bearer.user else ""
    match check.question:
        case Question.CREDENTIAL if bearer.note:
            return bearer.note
        case Question.OPEN if not check.is_passed:
            return _("the rule lets nobody in")
        case Question.ROLE:
            words = {"takes": _takes(found.demand), "role": role}
            return _("%(takes)s; the person has %(role)s") % words
    return "" if check.is_passed else str(reason_of(check.code).sentence)


def _headers(found: Explanation) -> list[tuple[str, str]]:
    """What the app gets."""
    return list(identity_headers(found.bearer)) if found.status == 204 else []
