"""The page that sets an app up: the configuration of its proxy, explained, and the live test."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from applications.addresses import MAX_UPSTREAM, clean_app
from applications.models import App
from core.web.redirects import is_safe_destination
from forward_auth.services.app_setup import BACKEND
from forward_auth.services.live_test import Finding, State, run_live_test
from forward_auth.services.proxy_files import (
    ConfigurationFile,
    default_gatehouse,
    files_for,
    site_of,
)
from forward_auth.services.proxy_parts import parts_of

TEMPLATE = "admin/applications/app/setup.html"
TYPED = {"autocomplete": "off", "spellcheck": "false"}
STATES: dict[State, tuple[str, Any]] = {
    State.GOOD: ("good", gettext_lazy("Works")),
    State.BAD: ("bad", gettext_lazy("Wrong")),
    State.WARNING: ("warn", gettext_lazy("Note")),
    State.UNSEEN: ("plain", gettext_lazy("Not seen from here")),
}


class SetupForm(forms.Form):
    """What the configuration depends on beside the app. Sent by GET; it stores nothing."""

    proxy = forms.ChoiceField(
        label=gettext_lazy("In front of the app"), choices=App.PROXIES, required=False
    )
    upstream = forms.CharField(
        label=gettext_lazy("The app, as the proxy reaches it"),
        max_length=MAX_UPSTREAM,
        required=False,
        widget=AdminTextInputWidget(attrs=TYPED),
    )
    gatehouse = forms.CharField(
        label=gettext_lazy("Gatehouse, as the proxy reaches it"),
        max_length=MAX_UPSTREAM,
        required=False,
        widget=AdminTextInputWidget(attrs=TYPED),
    )

    def clean(self) -> dict[str, Any]:
        """Normalize host and port of both, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("upstream", "gatehouse"):
            cleaned, errors = clean_app({"upstream": typed.get(name, "")})
            typed[name] = cleaned["upstream"]
            for texts in errors.values():
                self.add_error(name, texts)
        return typed


class RequiredSetting(NamedTuple):
    """A setting of Gatehouse that the app needs. line: for its environment."""

    text: str
    line: str
    is_met: bool


class FindingLine(NamedTuple):
    """A finding with the badge of its state."""

    finding: Finding
    tone: str
    label: str


def setup_view(request: HttpRequest, app: App, common: dict[str, Any]) -> HttpResponse:
    """The configuration; a POST tests the app and shows what was found."""
    form, kind, files = _configuration(request, app)
    findings = _tested(app, kind) if request.method == "POST" else None
    context = {
        "title": _("Set up %(app)s") % {"app": app.name},
        "app": app,
        "form": form,
        "kind": kind,
        "kind_name": dict(App.PROXIES).get(kind, ""),
        "is_backend": kind == BACKEND,
        "files": files,
        "query": f"?{urlencode(request.GET)}" if request.GET else "",
        "parts": parts_of(kind),
        "needs": _needs(app, kind),
        "findings": findings,
        "summary": _summary(findings) if findings is not None else "",
    }
    return render(request, TEMPLATE, common | context)


def file_view(request: HttpRequest, app: App, name: str) -> HttpResponse:
    """Download one of the files. Raises Http404 for another name."""
    _form, _kind, files = _configuration(request, app)
    found = next((file for file in files if file.name == name), None)
    if found is None:
        raise Http404
    response = HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{found.name}"'
    response["Cache-Control"] = "no-store"
    return response


def _configuration(
    request: HttpRequest, app: App
) -> tuple[SetupForm, str, list[ConfigurationFile]]:
    """(form, kind, files); no files for values that are not valid, or an app without https."""
    initial = {
        "proxy": app.proxy or "nginx",
        "upstream": app.upstream,
        "gatehouse": default_gatehouse(),
    }
    is_asked = any(name in request.GET for name in initial)
    form = SetupForm(initial | request.GET.dict() if is_asked else None, initial=initial)
    if is_asked and not form.is_valid():
        return form, str(initial["proxy"]), []
    values = form.cleaned_data if is_asked else initial
    kind = values["proxy"] or str(initial["proxy"])
    if kind != BACKEND and not app.url.startswith("https://"):
        return form, kind, []
    return form, kind, files_for(kind, site_of(app, values["upstream"], values["gatehouse"]))


def _tested(app: App, kind: str) -> list[FindingLine]:
    # As chosen on the page; the app is not stored.
    app.proxy = kind
    return [
        FindingLine(one, STATES[one.state][0], str(STATES[one.state][1]))
        for one in run_live_test(app)
    ]


def _summary(lines: list[FindingLine]) -> str:
    states = [line.finding.state for line in lines]
    if State.BAD in states:
        return _("Something is wrong. Correct it, and test again.")
    if State.UNSEEN in states or State.WARNING in states:
        return _("What can be seen from here works. Read the notes.")
    return _("Everything works.")


def _needs(app: App, kind: str) -> list[RequiredSetting]:
    """What the settings of Gatehouse must say."""
    if kind == BACKEND:
        return []
    is_name = not app.host.startswith("[") and not app.host.replace(".", "").isdecimal()
    domain = (app.host.partition(".")[2] or app.host) if is_name else "example.com"
    trusted = ", ".join(map(str, settings.TRUSTED_PROXIES))
    return [
        RequiredSetting(
            _("The host of the app is below the domain for which people sign in."),
            f"FORWARD_AUTH_DOMAIN={settings.FORWARD_AUTH_DOMAIN or domain}",
            is_safe_destination(f"{app.url}/"),
        ),
        RequiredSetting(
            _("Gatehouse believes the proxy who the client is. Name the address of the proxy."),
            f"TRUSTED_PROXIES={trusted or '127.0.0.1/32'}",
            bool(trusted or settings.TRUST_PROXY),
        ),
    ]
