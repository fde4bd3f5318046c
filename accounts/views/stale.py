"""A form whose token is out of date: from a second tab, after cleared cookies, sent twice.

It is not acted upon. The same page is shown again with what was typed and a fresh token, so that
nobody ends at a refusal; whoever is signed in by now goes on from a sign-in form to where it leads.
A form that has made its own token out of date (a new password) leads where it led the first time.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import ResolverMatch

from accounts.destinations import see_other
from accounts.secrecy import keep_secret
from accounts.sent_forms import sent_before
from accounts.stepup import NOT_KEPT, KeptForm

# A longer form has to be filled in again.
MAX_LENGTH = 100_000


def show_again(request: HttpRequest, match: ResolverMatch | None) -> HttpResponse | None:
    """The page of a form with an outdated token, with status 403; None when there is none to show.

    That is for what a foreign page may have sent. Raises what the page raises.
    """
    if match is None or request.method != "POST" or not _is_from_here(request):
        return None
    led_to = sent_before(request)
    if led_to:
        return see_other(led_to)
    fields = _fields(request)  # before the method changes, which decides whether there is a form
    if "admin" not in match.app_names:
        request.method = "GET"
        request.is_stale = True  # type: ignore[attr-defined]  # read by common.prefilled()
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        if response.status_code == 200:
            response.status_code = 403
        if response.status_code != 405:
            return response
    return _offer(request, fields) if request.user.is_authenticated else None


def _fields(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in NOT_KEPT
    ]


def _is_from_here(request: HttpRequest) -> bool:
    """Does nothing say that a foreign page sent this? Browsers name the origin of every form."""
    origin = request.headers.get("Origin")
    if origin is not None:
        own = f"{'https' if request.is_secure() else 'http'}://{request.get_host()}"
        return origin == own or origin in settings.CSRF_TRUSTED_ORIGINS
    return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _offer(request: HttpRequest, fields: list[tuple[str, str]]) -> HttpResponse | None:
    """The form once more, to be sent by a press of a button; no password is repeated."""
    length = sum(len(name) + len(value) for name, value in fields)
    if length > MAX_LENGTH or request.FILES or any("password" in name for name, _value in fields):
        return None
    kept = KeptForm(request.get_full_path(), fields)
    return keep_secret(render(request, "accounts/send_again.html", {"kept": kept}, status=403))
