"""How an answer goes back to an app: by a redirect, a page that leads there, or a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from applications.models import App
from applications.redirect_uris import origin_of
from core.web.redirects import see_other


@dataclass(frozen=True, slots=True)
class Target:
    """Where an answer goes: an address that is proven to be the app's. state: of the request."""

    app: App
    redirect_uri: str
    response_mode: str
    state: str


def answer(
    request: HttpRequest, target: Target, members: dict[str, str], *, after_form: bool
) -> HttpResponse:
    """Send `members` to the app, with `iss`, so that it knows whose answer it is (RFC 9207).

    after_form: the browser came here from a form of ours. Chromium applies `form-action` to the
    redirects after a form, so a page leads on instead.
    """
    given = _answered(target, members)
    if target.response_mode == "form_post" and origin_of(target.redirect_uri):
        return _form(request, target, given)
    url = answer_url(target, members)
    if after_form:
        return lead_on(request, url, target.app.name)
    return redirect(url)


def answer_url(target: Target, members: dict[str, str]) -> str:
    """Where the browser brings the answer, in the query of the address; see answer()."""
    return with_parameters(target.redirect_uri, _answered(target, members))


def _answered(target: Target, members: dict[str, str]) -> dict[str, str]:
    state = {"state": target.state} if target.state else {}
    return {**members, **state, "iss": settings.PUBLIC_URL}


def as_get(request: HttpRequest, names: Sequence[str]) -> HttpResponse:
    """Go on by GET with those fields of a POST that the protocol knows, each as often as sent.

    Others stay out of the URL, such as the CSRF token of a form.
    """
    fields = {name: request.POST.getlist(name) for name in names if name in request.POST}
    return see_other(f"{request.path}?{urlencode(fields, doseq=True)}")


def redirect(url: str) -> HttpResponse:
    """303 to an address of an app, which may have a scheme of its own."""
    return HttpResponse(status=303, headers={"Location": url})


def lead_on(request: HttpRequest, url: str, name: str) -> HttpResponse:
    """A page that leads to the app at once, with a link as fallback."""
    return render(request, "oidc_provider/to_app.html", {"url": url, "app_name": name})


def with_parameters(uri: str, parameters: dict[str, str]) -> str:
    """A registered address with these parameters behind its own."""
    if not parameters:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"


def _form(request: HttpRequest, target: Target, given: dict[str, str]) -> HttpResponse:
    """A form that the browser posts to the app (OAuth 2.0 Form Post Response Mode)."""
    context = {"uri": target.redirect_uri, "fields": given, "app_name": target.app.name}
    response = render(request, "oidc_provider/form_post.html", context)
    return with_policy(response, {"form-action": ["'self'", origin_of(target.redirect_uri)]})


def with_policy(response: HttpResponse, changes: dict[str, list[str]]) -> HttpResponse:
    """A page with a Content-Security-Policy of its own: that of all pages with these directives."""
    policy = {**settings.SECURE_CSP, **changes}
    response["Content-Security-Policy"] = "; ".join(
        f"{directive} {' '.join(sources)}" for directive, sources in policy.items()
    )
    return response
