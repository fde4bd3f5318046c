"""The page after a sign-out that loads an address of each app in a frame.

OpenID Connect Front-Channel Logout 1.0, for apps that know no logout tokens. Browsers that keep
the cookies of other sites from frames make it useless, so an app that can takes logout tokens.

The page leads on once the frames are loaded, or by its button. There is no time limit: nobody has
to be fast (WCAG 2.2.1), and no app is cut off.
"""

import uuid
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from applications.models import App
from applications.redirect_uris import origin_of
from oidc_provider.errors import RequestUnusable
from oidc_provider.models import Grant
from oidc_provider.signing import is_available
from oidc_provider.subjects import session_of
from oidc_provider.views.answers import with_parameters, with_policy

SALT = "oidc_provider.signed-out"
# Seconds: of the link to the page.
LIFETIME = 300


class Frame(NamedTuple):
    """What the browser loads for an app."""

    name: str
    url: str


def detour(session_id: uuid.UUID, url: str) -> str:
    """The page, if an app of this session has an address to load; else "". url: where to go on."""
    if not is_available() or not _apps_of(session_id):
        return ""
    signed = signing.dumps([str(session_id), url], salt=SALT)
    return f"{reverse('oidc_provider:signed-out')}?{urlencode({'to': signed})}"


@require_safe
def signed_out(request: HttpRequest) -> HttpResponse:
    """Load the addresses of the apps, and lead on. The link is signed by the sign-out."""
    try:
        session_id, url = signing.loads(request.GET.get("to", ""), salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        raise RequestUnusable(_("This link has expired. You are signed out.")) from None
    sid = uuid.UUID(session_id)
    apps = _apps_of(sid)
    frames = [_frame(app, sid) for app in apps]
    page = render(request, "oidc_provider/signed_out.html", {"frames": frames, "url": url})
    origins = dict.fromkeys(origin_of(app.frontchannel_logout_uri) for app in apps)
    return with_policy(page, {"frame-src": list(origins)} if origins else {})


def _frame(app: App, sid: uuid.UUID) -> Frame:
    proof = {"iss": settings.PUBLIC_URL, "sid": session_of(app, sid)}
    return Frame(app.name, with_parameters(app.frontchannel_logout_uri, proof))


def _apps_of(session_id: uuid.UUID) -> list[App]:
    """Those that were signed in to in this session."""
    grants = Grant.objects.filter(sid=session_id)
    rows = App.objects.filter(pk__in=grants.values("app")).exclude(openid_kind="")
    return list(rows.exclude(frontchannel_logout_uri=""))
