"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

A GET only asks: whoever gets a user to open an address shall not sign them out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.account_sources import account_sources
from accounts.services.sessions import end_this_session
from accounts.sign_in.detours import session_id_of
from accounts.views.common import get_or_post, redirect_with_notice, signed_in
from applications.models import App
from core.web.redirects import see_other
from oidc_provider.errors import RequestUnusable
from oidc_provider.id_tokens import read_hint
from oidc_provider.parameters import has_null
from oidc_provider.views.answers import as_get, lead_on, redirect, with_parameters
from oidc_provider.views.signed_out import detour

PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "logout_hint",
              "ui_locales")  # fmt: skip
MAX_QUERY = 16_000


class Logout(NamedTuple):
    """app: None if the request names none. url: where people go afterwards, "" for nowhere."""

    app: App | None
    url: str


@csrf_exempt
@get_or_post
def end_session(request: HttpRequest) -> HttpResponse:
    """Ask whether to sign out here, too."""
    if request.method == "POST":
        return as_get(request, PARAMETERS)
    fields = {name: request.GET[name] for name in PARAMETERS if name in request.GET}
    wanted = _read(fields)
    if signed_in(request) is None:
        return redirect(wanted.url) if wanted.url else _signed_out(request, wanted)
    context = {"app": wanted.app, "url": wanted.url, "request_fields": urlencode(fields)}
    return render(request, "oidc_provider/end_session.html", context)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session of this browser, and lead back to the app."""
    wanted = _read(QueryDict(request.POST.get("request", "")).dict())
    first = ""
    if signed_in(request) is not None:
        session_id = session_id_of(request)
        end_this_session(request)
        if session_id is not None:
            first = detour(session_id, wanted.url or _own_page()["Location"])
    response = see_other(first) if first else _signed_out(request, wanted)
    for source in account_sources():
        response = source.after_sign_out(response)
    return response


def _signed_out(request: HttpRequest, wanted: Logout) -> HttpResponse:
    if wanted.url and wanted.app is not None:
        return lead_on(request, wanted.url, wanted.app.name)
    return _own_page()


def _own_page() -> HttpResponse:
    return redirect_with_notice("account_login", "signed-out")


def _read(given: Mapping[str, str]) -> Logout:
    """Raises RequestUnusable. Nobody is sent to an address that is not registered."""
    if sum(map(len, given.values())) > MAX_QUERY:
        raise RequestUnusable(_("The request of the app is too long."))
    if has_null(given):
        raise RequestUnusable(_("The request of the app contains a null character."))
    app = _app_of(given)
    uri = given.get("post_logout_redirect_uri", "")
    if not uri:
        return Logout(app, "")
    if app is None or uri not in app.logout_uris:
        raise RequestUnusable(
            _("The app asks to return to an address that is not registered for it. Nobody has been "
              "sent there, and you are still signed in.")
        )  # fmt: skip
    state = {"state": given["state"]} if given.get("state") else {}
    return Logout(app, with_parameters(uri, state))


def _app_of(given: Mapping[str, str]) -> App | None:
    """The app of the hint, or of the client id; both have to be the same."""
    audience = str(read_hint(given.get("id_token_hint", "")).get("aud", ""))
    client_id = given.get("client_id", "")[:255]
    if audience and client_id and audience != client_id:
        raise RequestUnusable(_("The app of the request and that of its proof differ."))
    name = audience or client_id
    return App.objects.filter(client_id=name).exclude(openid_kind="").first() if name else None
