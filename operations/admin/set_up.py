"""The set-up assistant: five steps after the first owner, each of which can be skipped."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.admin.base import acting_admin
from accounts.admin.dashboard.parts import DashboardWarning, Part, add_part
from accounts.admin.lists import capped_count
from accounts.admin.navigation import help_url
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page, is_owner
from accounts.admin.testmail import TestMailForm, send_from_form
from accounts.models import Invitation, User
from accounts.sent_forms import show_once
from core.web.client_ip import client_ip
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.paused import paused_ids
from federation.providers import configured
from moderation.admin.proxies import hop_rows, warnings_about
from moderation.proxies.observations import observe
from operations.models import SetUpStep
from operations.set_up import Step, mark, next_open, skip_open, states

State = SetUpStep.State
LABELS: dict[Step, Any] = {
    Step.ADDRESS: gettext_lazy("Public address"),
    Step.MAIL: gettext_lazy("Mail"),
    Step.METHODS: gettext_lazy("Ways to sign in"),
    Step.PROXY: gettext_lazy("Proxy"),
    Step.INVITATIONS: gettext_lazy("First people"),
}
HELP = {
    Step.ADDRESS: "configuration",
    Step.MAIL: "mail",
    Step.METHODS: "sign-in-providers",
    Step.PROXY: "behind-a-proxy",
    Step.INVITATIONS: "invitations",
}


class StepLink(NamedTuple):
    """One step in the list of steps. state: done, skipped, or "" if it is open."""

    number: int
    label: Any
    url: str
    state: str
    is_current: bool


class SignInMethodRow(NamedTuple):
    """A way to sign in: whether it is on, and what decides it."""

    label: str
    is_on: bool
    setting: str


@require_http_methods(["GET", "HEAD", "POST"])
def set_up_page(request: HttpRequest) -> HttpResponse:
    """GET lists the steps; POST skips those that are open."""
    if request.method == "POST":
        skip_open(actor=acting_admin(request))
        messages.success(request, _("The assistant is closed. You find it at the health page."))
        return redirect("admin:index")
    following = next_open()
    context = {
        "title": _("Set up Gatehouse"),
        "steps": _links(None),
        "next_url": _url(following) if following else "",
        "has_begun": any(states().values()),
    }
    return render(
        request, "admin/operations/set_up/start.html", site.each_context(request) | context
    )


@require_http_methods(["GET", "HEAD", "POST"])
def step_page(request: HttpRequest, step: str) -> HttpResponse:
    """GET shows a step; POST marks it, or sends the test mail."""
    current = _step(step)
    if request.method == "POST" and request.POST.get("do") == "test":
        return _test_mail(request, current)
    if request.method == "POST":
        state = State.DONE if request.POST.get("do") == "done" else State.SKIPPED
        mark(actor=acting_admin(request), step=current, state=state)
        following = next_open(current)
        if following is not None:
            return redirect(_url(following))
        messages.success(request, _("The set-up is complete."))
        return redirect("admin:index")
    return _render(request, current)


def _step(text: str) -> Step:
    try:
        return Step(text)
    except ValueError:
        raise Http404 from None


def _render(request: HttpRequest, step: Step, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "title": _("Set-up: %(step)s") % {"step": LABELS[step]},
        "steps": _links(step),
        "step_help": help_url(HELP[step]),
        **CONTEXTS[step](request),
        **more,
    }
    template = f"admin/operations/set_up/{step.name.lower()}.html"
    return render(request, template, site.each_context(request) | context, status=status)


def _test_mail(request: HttpRequest, step: Step) -> HttpResponse:
    if step is not Step.MAIL:
        raise Http404
    form = TestMailForm(request.POST)
    report, status = send_from_form(form, acting_admin(request)) if form.is_valid() else (None, 200)
    page = _render(request, step, status, form=form, report=report)
    return page if report is None else show_once(page, request.path)


def _links(current: Step | None) -> list[StepLink]:
    return [
        StepLink(number, LABELS[step], _url(step), state, step is current)
        for number, (step, state) in enumerate(states().items(), 1)
    ]


def _url(step: Step) -> str:
    return reverse("admin:set-up-step", args=[step.value])


def _address(request: HttpRequest) -> dict[str, Any]:
    """What the browser asked for, as Gatehouse sees it, beside PUBLIC_URL."""
    seen = f"{request.scheme}://{request.get_host()}"
    public = urlsplit(settings.PUBLIC_URL)
    return {
        "public_url": settings.PUBLIC_URL,
        "source": settings.ENV.source("PUBLIC_URL"),
        "seen": seen,
        "is_same": seen == f"{public.scheme}://{public.netloc}",
        "is_local": settings.PUBLIC_URL_IS_LOCAL,
        "is_https": settings.IS_HTTPS,
        "line": "PUBLIC_URL=https://id.example.com",
        "seen_line": f"PUBLIC_URL={seen}{public.path}",
    }


def _mail(request: HttpRequest) -> dict[str, Any]:
    return {
        "transport": settings.MAIL.transport,
        "sender": settings.MAIL.sender,
        "form": TestMailForm(initial={"email": acting_admin(request).email}),
        "report": None,
        "resend_lines": "RESEND_API_KEY=\nRESEND_EMAIL=",
        "smtp_lines": "EMAIL_HOST=\nEMAIL_PORT=587\nEMAIL_USERNAME=\nEMAIL_PASSWORD=\nEMAIL_FROM=",
    }


def _methods(_request: HttpRequest) -> dict[str, Any]:
    paused = paused_ids()
    rows = [
        SignInMethodRow(_("Password"), settings.ALLOW_EMAIL_LOGIN, "ALLOW_EMAIL_LOGIN"),
        SignInMethodRow(
            _("Link by mail"), settings.ALLOW_MAGIC_LINK_LOGIN, "ALLOW_MAGIC_LINK_LOGIN"
        ),
        SignInMethodRow(_("Passkey, which each user adds"), True, ""),
        *(
            SignInMethodRow(one.label, one.id not in paused, _("switch it at its page"))
            for one in configured()
        ),
    ]
    if settings.LDAP is not None:
        is_on = DIRECTORY not in paused
        rows.append(SignInMethodRow(_("Directory (LDAP)"), is_on, _("switch it at its page")))
    return {
        "rows": rows,
        "registration": SignInMethodRow(
            _("Anyone may create an account"), settings.ALLOW_REGISTRATION, "ALLOW_REGISTRATION"
        ),
        "required_roles": ", ".join(settings.MFA_REQUIRED_ROLES),
    }


def _proxy(request: HttpRequest) -> dict[str, Any]:
    seen, client = observe(request), client_ip(request)
    return {
        "seen": seen,
        "client": client or _("unknown"),
        "is_believed": seen.is_forwarded and client != seen.peer,
        "hops": hop_rows(seen),
        "warnings": warnings_about(seen),
        "trusted": ", ".join(map(str, settings.TRUSTED_PROXIES)),
        "hop_count": settings.TRUST_PROXY,
        "line": f"TRUSTED_PROXIES={seen.peer or '172.16.0.0/12'}",
    }


def _invitations(_request: HttpRequest) -> dict[str, Any]:
    return {
        "people": capped_count(User.objects.people()),
        "open_invitations": capped_count(Invitation.objects.filter(used_at=None)),
        "sends_mail": settings.MAIL.transport != "none",
    }


CONTEXTS: dict[Step, Callable[[HttpRequest], dict[str, Any]]] = {
    Step.ADDRESS: _address,
    Step.MAIL: _mail,
    Step.METHODS: _methods,
    Step.PROXY: _proxy,
    Step.INVITATIONS: _invitations,
}


def notices(request: HttpRequest) -> list[DashboardWarning]:
    """How far the set-up is, for owners, until every step is done or skipped."""
    if not is_owner(request):
        return []
    found = states()
    open_steps = [step for step, state in found.items() if not state]
    if not open_steps:
        return []
    done = len(found) - len(open_steps)
    title = _("Set-up: %(done)s of %(all)s steps") % {"done": done, "all": len(found)}
    text = _("Next: %(step)s.") % {"step": LABELS[open_steps[0]]}
    url = reverse("admin:set-up")
    return [DashboardWarning("info", title, text, url, _("Go on with the set-up"))]


add_part("set-up", Part(notices=notices))
add_page(
    SitePage(
        "set-up", "set-up/", set_up_page, help_page="first-run", for_owners=True, is_exempt=True
    )
)
add_page(
    SitePage(
        "set-up-step",
        "set-up/<slug:step>/",
        step_page,
        help_page="first-run",
        for_owners=True,
        is_exempt=True,
    )
)
