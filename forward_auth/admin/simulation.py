"""The page "Try a request", which simulates checks. It changes and counts nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import badge, user_link
from accounts.roles import Role
from core.web.client_ip import client_ip, parse_address
from forward_auth.admin.labels import app_link, audience_badge, conditions_cell, rule_link
from forward_auth.decisions import Decision, Question, Step
from forward_auth.models import AccessRule
from forward_auth.rules.display import condition_name
from forward_auth.rules.matching import MatchState, Requirement, RuleStep
from forward_auth.rules.path_readings import MAX_LENGTH
from forward_auth.rules.validation import METHODS
from forward_auth.services.explanations import QUESTIONS, explain_step, requirement_text
from forward_auth.services.simulation import (
    SimulatedRequest,
    Subject,
    app_of_simulation,
    find_subject,
    simulate,
)

MATCH_STATES: dict[MatchState, tuple[str, Any]] = {
    MatchState.MATCHES: ("good", gettext_lazy("Matches")),
    MatchState.UNCLEAR: ("warn", gettext_lazy("May match")),
    MatchState.NO_MATCH: ("plain", gettext_lazy("Does not match")),
    MatchState.NOT_REACHED: ("plain", gettext_lazy("Not reached")),
}


class SimulationForm(forms.Form):
    """A user or key, and a request."""

    who = forms.CharField(
        label=gettext_lazy("Who"),
        max_length=254,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Email address or user name, or the id of an API key (gth_…). Empty: no one."
        ),
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=MAX_LENGTH,
        widget=AdminTextInputWidget(
            attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=gettext_lazy("As in the browser, for example https://app.example.com/admin."),
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Method"), choices=[(name, name) for name in METHODS]
    )
    ip = forms.CharField(
        label=gettext_lazy("From network address"),
        max_length=45,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Address of the client. Empty: unknown."),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("The proxy asks for"),
        required=False,
        choices=[("", gettext_lazy("no role")), *AccessRule.LEVELS],
        help_text=gettext_lazy("?role=… in the configuration of the proxy."),
    )

    def clean_who(self) -> Subject:
        """Find the user or key."""
        found = find_subject(self.cleaned_data["who"])
        if found is None:
            raise forms.ValidationError(_("No account and no API key has this name."))
        return found

    def clean_url(self) -> str:
        """Add a scheme, as proxies send it."""
        url: str = self.cleaned_data["url"]
        return url if "://" in url else f"https://{url}"

    def clean_ip(self) -> str:
        text: str = self.cleaned_data["ip"]
        address = parse_address(text) if text else None
        if text and address is None:
            raise forms.ValidationError(_("Enter a valid network address."))
        return str(address) if address else ""

    def simulated_request(self) -> SimulatedRequest:
        """The request of a valid form."""
        typed = self.cleaned_data
        override = Role(typed["role"]) if typed["role"] else None
        return SimulatedRequest(typed["url"], typed["method"], typed["ip"], override)


class RuleRow(NamedTuple):
    """One line of the table of rules."""

    name: SafeString
    whom: SafeString
    conditions: str | SafeString
    state: SafeString
    why: str
    decides: bool


class QuestionRow(NamedTuple):
    """One line of the table of questions."""

    question: str
    answer: SafeString
    why: str


def simulation_page(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """The form, with a result if the form or a link has asked for one."""
    initial = {"method": "GET", "ip": client_ip(request)}
    data = request.POST if request.method == "POST" else request.GET
    form = SimulationForm(initial | data.dict() if "url" in data else None, initial=initial)
    result = simulation_result(form) if form.is_bound and form.is_valid() else None
    context = {"title": _("Try a request"), "form": form, "result": result}
    return render(request, "admin/forward_auth/try.html", common | context)


def simulation_result(form: SimulationForm) -> dict[str, Any]:
    """What the page shows about the request of a valid form."""
    subject: Subject = form.cleaned_data["who"]
    asked = form.simulated_request()
    found = simulate(asked, subject)
    decision, rules = found.result.decision, found.decisive.rules
    app = app_of_simulation(found)
    requirement, is_passed = decision.requirement, decision.status == 204
    may_match = any(step.state is MatchState.UNCLEAR for step in rules)
    return {
        "status": decision.status,
        "is_passed": is_passed,
        "headline": _headline(decision, subject),
        "app": app_link(app) if app else "",
        "decision": _deciding_rule(rules, requirement),
        "asked": asked,
        "who": _who(subject),
        # Which reading decides, where there are several.
        "path": found.decisive.target.path if found.readings > 1 else "",
        # Only what a rule depends on.
        "unclear": [condition_name(one) for one in sorted(found.unclear)] if may_match else [],
        "rules": [_rule_row(step, requirement) for step in rules],
        "default_decides": not requirement.rule_id,
        "default": requirement_text(requirement) if not requirement.rule_id else "",
        "why": "" if is_passed else explain_step(found.steps[-1], subject, decision),
        "checks": [
            _question_row(step, subject, decision)
            for step in found.steps
            if step.question is not Question.SCOPE or subject.key is not None
        ],
        # What the app receives.
        "headers": list(found.result.headers) if is_passed else [],
    }


def _headline(decision: Decision, subject: Subject) -> str:
    if decision.status == 204:
        return _("This request passes.")
    if decision.status == 401 and subject.key is None:
        return _("This request is denied: sign in first.")
    return _("This request is denied.")


def _deciding_rule(rules: Sequence[RuleStep], requirement: Requirement) -> str | SafeString:
    """The rule that decides, with a link."""
    for step in rules:
        if step.rule.id == requirement.rule_id:
            return rule_link(step.rule.id, step.rule.name)
    return _("no rule: the default")


def _who(subject: Subject) -> str | SafeString:
    if subject.user is None:
        return _("no one")
    return user_link(subject.user.pk, subject.user.email)


def _rule_row(step: RuleStep, requirement: Requirement) -> RuleRow:
    unmet_conditions = ", ".join(condition_name(one) for one in step.unmet)
    texts = {
        MatchState.MATCHES: "",
        MatchState.UNCLEAR: _("not clear: %(conditions)s") % {"conditions": unmet_conditions},
        MatchState.NO_MATCH: unmet_conditions,
        MatchState.NOT_REACHED: _("an earlier rule matches"),
    }
    return RuleRow(
        name=rule_link(step.rule.id, step.rule.name),
        whom=audience_badge(step.rule.effect, step.rule.role, step.rule.groups),
        conditions=conditions_cell(step.rule),
        state=badge(*MATCH_STATES[step.state]),
        why=texts[step.state],
        decides=step.rule.id == requirement.rule_id,
    )


def _question_row(step: Step, subject: Subject, decision: Decision) -> QuestionRow:
    answer = badge("good", _("Yes")) if step.is_passed else badge("bad", _("No"))
    return QuestionRow(str(QUESTIONS[step.question]), answer, explain_step(step, subject, decision))
