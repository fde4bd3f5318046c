"""The wizard that protects an app: three steps, and nothing is stored before the last button.

Steps are sent by GET, with the answers of the others in hidden fields. So Back and reload work
without a script, and a link can begin the wizard with an address. The last step is a POST.
"""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import acting_admin
from accounts.admin.users.forms import GroupsField, offer_groups
from accounts.roles import Role
from applications.addresses import (
    MAX_DESCRIPTION,
    MAX_NAME,
    MAX_UPSTREAM,
    MAX_URL,
    clean_app,
    split_address,
)
from applications.models import App
from applications.services.apps import require_owner
from core.errors import RecordInvalid
from core.text.networks import networks_of
from forward_auth.admin.labels import audience_badge, conditions_cell, rule_link
from forward_auth.models import AccessRule
from forward_auth.rules.validation import path_of
from forward_auth.services.app_setup import (
    BACKEND,
    Access,
    planned_rules,
    protect_app,
    rules_before,
)
from forward_auth.services.proxy_files import UPSTREAM
from forward_auth.services.rules import rule_of

TEMPLATE = "admin/applications/app/protect.html"
MAX_LINES = 5000
TYPED = {"autocomplete": "off", "spellcheck": "false"}
LINES = {"rows": 3, **TYPED}


class Step(forms.Form):
    """The base of the steps. app_url: the address of the app, once it is known."""

    def __init__(
        self,
        data: dict[str, str] | None = None,
        *,
        initial: dict[str, str] | None = None,
        app_url: str = "",
    ) -> None:
        super().__init__(data, initial=initial)
        self.app_url = app_url


class AppStep(Step):
    """Name and address."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=MAX_NAME, widget=AdminTextInputWidget(attrs=TYPED)
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=MAX_URL,
        widget=AdminTextInputWidget(attrs={"inputmode": "url", **TYPED}),
        help_text=gettext_lazy("As in the browser, for example https://wiki.example.com."),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=MAX_DESCRIPTION,
        required=False,
        widget=AdminTextInputWidget(attrs=TYPED),
        help_text=gettext_lazy("One sentence for the people who use it. May be empty."),
    )

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        cleaned, errors = clean_app(super().clean() or self.cleaned_data)
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}


class AccessStep(Step):
    """Who may enter."""

    role = forms.ChoiceField(
        label=gettext_lazy("Who may enter"),
        choices=AccessRule.LEVELS,
        initial=Role.VIEWER.value,
        help_text=gettext_lazy("This role and higher ones, for reading and for changing."),
    )
    groups = GroupsField(label=gettext_lazy("Only these groups"))
    public_paths = forms.CharField(
        label=gettext_lazy("Open without signing in"),
        max_length=MAX_LINES,
        required=False,
        widget=forms.Textarea(attrs=LINES),
        help_text=gettext_lazy(
            "Paths, one on each line, like /health. Each includes everything below it."
        ),
    )
    networks = forms.CharField(
        label=gettext_lazy("Only from these networks"),
        max_length=MAX_LINES,
        required=False,
        widget=forms.Textarea(attrs=LINES),
        help_text=gettext_lazy("One on each line, like 10.0.0.0/8. Empty: from everywhere."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        offer_groups(
            self.fields["groups"],
            gettext_lazy("Only people in one of them, who also have the role. Empty: everyone "
                         "with the role."),
        )  # fmt: skip

    def clean_public_paths(self) -> tuple[str, ...]:
        """Valid paths, once each."""
        paths = _each(path_of, self.cleaned_data["public_paths"].split())
        if "" in paths:
            raise forms.ValidationError(
                _("This would open the whole app. Make a rule for that, if you want it.")
            )
        own = split_address(self.app_url).path
        outside = [path for path in paths if not f"{path}/".startswith(f"{own}/")]
        if outside:
            text = _("%(path)s is not a part of the app, whose paths begin with %(own)s.")
            raise forms.ValidationError(text % {"path": outside[0], "own": own})
        return tuple(dict.fromkeys(paths))

    def clean_networks(self) -> tuple[str, ...]:
        """Valid networks."""
        typed = self.cleaned_data["networks"].replace(",", " ").split()
        return tuple(_each(networks_of, [typed])[0])

    @property
    def access(self) -> Access:
        """The answer of a valid form."""
        found = self.cleaned_data
        return Access(
            Role(found["role"]), found["public_paths"], found["networks"], tuple(found["groups"])
        )


class ProxyStep(Step):
    """What asks Gatehouse."""

    proxy = forms.ChoiceField(
        label=gettext_lazy("What is in front of the app?"),
        choices=[
            *App.PROXIES[:-1],
            (BACKEND, gettext_lazy("Nothing: my backend verifies tokens")),
        ],
        initial="nginx",
        widget=forms.RadioSelect,
    )
    upstream = forms.CharField(
        label=gettext_lazy("Where the proxy reaches the app"),
        max_length=MAX_UPSTREAM,
        required=False,
        initial=UPSTREAM,
        widget=AdminTextInputWidget(attrs=TYPED),
        help_text=gettext_lazy("Host and port. You can change it on the next page."),
    )

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        cleaned, errors = clean_app(super().clean() or self.cleaned_data)
        if cleaned.get("proxy") not in (None, BACKEND) and not self.app_url.startswith("https://"):
            errors["proxy"] = [
                _("The proxy needs https, because sessions are sent only encrypted. Go back and "
                  "enter an address with https.")
            ]  # fmt: skip
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}


def _each(clean: Any, values: list[Any]) -> list[Any]:
    try:
        return [clean(value) for value in values]
    except ValueError as error:
        raise forms.ValidationError(str(error)) from None


STEPS: dict[str, tuple[type[Step], Any]] = {
    "app": (AppStep, gettext_lazy("The app")),
    "access": (AccessStep, gettext_lazy("Who may enter")),
    "proxy": (ProxyStep, gettext_lazy("The proxy")),
}


class RuleLine(NamedTuple):
    """A rule that will be made, or that is there already."""

    name: str | SafeString
    whom: SafeString
    conditions: str | SafeString


class Wizard:
    """The answers so far. Steps that were sent are valid up to `current`, which is shown."""

    def __init__(self, data: dict[str, str]) -> None:
        self.data = data
        self.forms: dict[str, Step] = {}
        step = data.get("step", "")
        sent = list(STEPS).index(step) + 1 if step in STEPS else 0
        self.current = "app"
        self.is_complete = False
        for name in list(STEPS)[:sent]:
            form = self._form(name, is_sent=True)
            self.forms[name] = form
            self.current = name
            if not form.is_valid():
                return
        if sent == len(STEPS):
            self.is_complete = True
            return
        self.current = list(STEPS)[sent]
        self.forms[self.current] = self._form(self.current, is_sent=False)

    def _form(self, name: str, *, is_sent: bool) -> Step:
        """The form of a step; what was typed there before is its beginning."""
        kind = STEPS[name][0]
        url = self._app_url() if name != "app" else ""
        if is_sent:
            return kind(self.data, app_url=url)
        typed = {field: self.data[field] for field in kind.base_fields if field in self.data}
        return kind(initial=typed, app_url=url)

    def _app_url(self) -> str:
        return str(self.forms["app"].cleaned_data.get("url", ""))

    @property
    def form(self) -> Step:
        return self.forms[self.current]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """The fields of the other steps."""
        names = [name for kind, _label in STEPS.values() for name in kind.base_fields]
        return [
            (name, self.data[name])
            for name in names
            if name in self.data and name not in self.form.fields
        ]

    @property
    def app(self) -> App:
        """The app of valid answers, not stored."""
        values = {**self.forms["app"].cleaned_data}
        if "proxy" in self.forms and self.forms["proxy"].is_bound:
            values |= self.forms["proxy"].cleaned_data
        return App(**values, host=split_address(values["url"]).host)

    @property
    def access(self) -> Access:
        step = self.forms["access"]
        if not isinstance(step, AccessStep):
            raise TypeError("the step of access has its own form")
        return step.access

    def back_query(self, step: str) -> str:
        """The query that shows an earlier step with all answers."""
        before = {"proxy": "app"}.get(step, "")
        names = [name for kind, _label in STEPS.values() for name in kind.base_fields]
        query = {name: self.data[name] for name in names if name in self.data}
        return urlencode({**query, "step": before})


def protect_view(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """Show a step; create the app when the last one is sent. Raises Forbidden."""
    actor = acting_admin(request)
    require_owner(actor)
    is_sent = request.method == "POST"
    wizard = Wizard((request.POST if is_sent else request.GET).dict())
    if wizard.is_complete and is_sent:
        try:
            app = protect_app(actor=actor, app=wizard.app, access=wizard.access)
        except RecordInvalid as error:
            wizard.form.add_error(None, error.sentences)
        else:
            return redirect("admin:applications_app_setup", app.pk)
    return render(request, TEMPLATE, common | _context(wizard))


def _context(wizard: Wizard) -> dict[str, Any]:
    names = list(STEPS)
    place = names.index(wizard.current)
    planned, before = _rules(wizard) if wizard.current == "proxy" else ([], [])
    return {
        "title": _("Protect an app"),
        "wizard": wizard,
        "form": wizard.form,
        "step": wizard.current,
        "steps": [
            {"label": label, "is_done": number < place, "is_current": number == place}
            for number, (_form, label) in enumerate(STEPS.values())
        ],
        "number": place + 1,
        "count": len(names),
        "is_last": place == len(names) - 1,
        "back": f"?{wizard.back_query(wizard.current)}" if place else "",
        "planned": planned,
        "before": before,
    }


def _rules(wizard: Wizard) -> tuple[list[RuleLine], list[RuleLine]]:
    """(rules that will be made, rules that stay before them and match the app as well)."""
    planned = planned_rules(wizard.app, wizard.access)
    before = rules_before(wizard.app)
    made = [
        RuleLine(rule.name, audience_badge(rule.effect, rule.role, rule.groups),
                 conditions_cell(rule))
        for rule in map(rule_of, planned)
    ]  # fmt: skip
    there = [
        RuleLine(rule_link(rule.id, rule.name), audience_badge(rule.effect, rule.role, rule.groups),
                 conditions_cell(rule))
        for rule in before
    ]  # fmt: skip
    return made, there
