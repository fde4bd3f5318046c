"""A form whose CSRF token is out of date: from a second tab, after cleared cookies, sent twice.

It is not processed. The same page is shown again with what was typed and a fresh token, so that the
user does not end at an error page. A user who is signed in by now is redirected from a sign-in form
as usual. A form that invalidated its own token (a new password) repeats its first redirect.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import ResolverMatch

from accounts.sent_forms import sent_before
from accounts.sessions.reauthentication import KEPT_MAX_LENGTH, PendingForm, posted_fields
from core.web.redirects import see_other
from core.web.sensitive_headers import keep_secret


def show_again(request: HttpRequest, match: ResolverMatch | None) -> HttpResponse | None:
    """The page of a form with an outdated token, with status 403; None if it must not be shown.

    It is not shown if another site may have sent the form. Raises what the page raises.
    """
    if match is None or request.method != "POST" or not _is_same_origin(request):
        return None
    location = sent_before(request)
    if location:
        return see_other(location)
    form = PendingForm(request.get_full_path(), posted_fields(request))  # before GET
    if "admin" not in match.app_names:
        request.method = "GET"
        request.is_stale = True  # type: ignore[attr-defined]  # read by common.prefilled()
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        if response.status_code == 200:
            response.status_code = 403
        if response.status_code != 405:
            return response
    return _resend_page(request, form) if request.user.is_authenticated else None


def _is_same_origin(request: HttpRequest) -> bool:
    """False if a header says that another site sent this; browsers send Origin with each form."""
    origin = request.headers.get("Origin")
    if origin is not None:
        own = f"{'https' if request.is_secure() else 'http'}://{request.get_host()}"
        return origin == own or origin in settings.CSRF_TRUSTED_ORIGINS
    return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _resend_page(request: HttpRequest, form: PendingForm) -> HttpResponse | None:
    """A page that sends the same fields again by a button; None if they hold a password."""
    has_password = any("password" in name for name, _value in form.fields)
    if form.length > KEPT_MAX_LENGTH or request.FILES or has_password:
        return None
    return keep_secret(render(request, "accounts/send_again.html", {"kept": form}, status=403))
