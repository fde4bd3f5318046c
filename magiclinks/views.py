"""Asking for a link, and opening one."""

import hmac
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import gates
from accounts.addresses import mask_email
from accounts.browser import PURPOSE as BROWSER
from accounts.browser import bind, binding_of, browser_id
from accounts.client import client_ip
from accounts.destinations import is_safe_destination, see_other
from accounts.errors import FeatureClosed, TokenEnded, TokenInvalid
from accounts.forms import LinkForm
from accounts.limits import count_try
from accounts.methods import SignInMethod
from accounts.models import AddressRequest
from accounts.problems import refusal_templates
from accounts.services.requests import note_request
from accounts.sessions import SIGNED_IN_AT
from accounts.tokens import digest
from accounts.views.common import (
    enter,
    is_stale,
    link_over,
    posted,
    prefilled,
    safe_next,
    secret_page,
)
from magiclinks import services
from magiclinks.models import LoginLink

get_or_post = require_http_methods(["GET", "HEAD", "POST"])
# Between the use of a link and the begin of its session.
ONE_SIGN_IN = timedelta(minutes=1)
EMAIL_PLACE = "address@place.invalid"
PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


@get_or_post
def ask(request: HttpRequest) -> HttpResponse:
    """Note the wish for a link; the answer never tells whether the account exists."""
    if request.user.is_authenticated:
        return redirect(safe_next(request) or "accounts:profile")
    if not settings.ALLOW_MAGIC_LINK_LOGIN:
        raise FeatureClosed(_("Sign-in by link is switched off here."))
    form = LinkForm(posted(request), initial=prefilled(request, next=safe_next(request)))
    if request.method != "POST" or not form.is_valid():
        status = 400 if request.method == "POST" else 200
        context = {"form": form, "next": safe_next(request)}
        return render(request, "magiclinks/request.html", context, status=status)
    email = form.cleaned_data["email"]
    count_try(request, "magic-link", email)
    value = browser_id(request)
    note_request(
        AddressRequest.Kind.MAGIC_LINK,
        email=email,
        binding=digest(BROWSER, value),
        next_url=safe_next(request),
    )
    page = _sent_page(get_language() or "en", settings.MAIL.transport != "none")
    response = HttpResponse(page.replace(EMAIL_PLACE, escape(email)))
    bind(request, response, value)
    return response


@cache
def _sent_page(_language: str, has_transport: bool) -> str:
    """The answer to a wish for a link, with EMAIL_PLACE for the address.

    Kept, because it is the same for everybody and half the cost of the request; so nothing on it
    may depend on the person, the CSRF token included.
    """
    context = {"email": EMAIL_PLACE, "has_transport": has_transport}
    return render_to_string("magiclinks/sent.html", context)


@secret_page
@get_or_post
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET in the browser that asked, and POST anywhere, sign in; everything else only looks.

    So neither a mail scanner nor a prefetching browser nor a stranger's link to somebody else's
    page uses a link up or signs anybody in.
    """
    try:
        link = services.find_link(token)
        if request.method == "POST" or opens_at_once(request, link):
            return _redeem(request, link)
    except services.LinkRefused as error:
        services.note_refused(error)
        return _refused(request, error)
    except TokenInvalid as error:
        return _over(request, error)
    context = {"masked_email": mask_email(link.email)}
    return render(request, "magiclinks/confirm.html", context)


def _over(request: HttpRequest, error: TokenInvalid) -> HttpResponse:
    """A replay in the session that the link began (double click, Back, reload) goes on."""
    if isinstance(error, services.LinkUsed) and _began_here(request, error.link):
        next_url = error.link.next_url
        if next_url and is_safe_destination(next_url):
            return see_other(next_url)
    return link_over(request, error)


def _began_here(request: HttpRequest, link: LoginLink) -> bool:
    signed_in_at = request.session.get(SIGNED_IN_AT)
    if link.used_at is None or request.user.pk != link.user_id or not signed_in_at:
        return False
    return abs(datetime.fromisoformat(signed_in_at) - link.used_at) < ONE_SIGN_IN


def _refused(request: HttpRequest, error: services.LinkRefused) -> HttpResponse:
    """Whoever holds a live link has the mailbox, so that a ban may be told to him."""
    found = gates.refusal(error.user)
    if found is not None and found.since is not None:
        names = refusal_templates(found.code)
        return render(request, names, {"error": found}, status=403)
    return link_over(request, TokenEnded(email=error.user.email))


def opens_at_once(request: HttpRequest, link: LoginLink) -> bool:
    """Is this the browser that asked, opening the link itself, and nobody else is signed in?"""
    if request.method != "GET" or is_stale(request) or is_prefetch(request):
        return False
    if settings.MAGIC_LINK_CONFIRM == "always":
        return False
    if request.user.is_authenticated and request.user.pk != link.user_id:
        return False
    return bool(link.binding) and hmac.compare_digest(link.binding, binding_of(request))


def is_prefetch(request: HttpRequest) -> bool:
    """Does the browser say that it only loads ahead?"""
    stated = " ".join(request.headers.get(name, "") for name in PREFETCH_HEADERS).lower()
    return any(word in stated for word in ("prefetch", "prerender", "preview"))


def _redeem(request: HttpRequest, link: LoginLink) -> HttpResponse:
    # First, so that a door which is closed for this network does not use the link up.
    gates.require_open_door(client_ip(request))
    with transaction.atomic():
        services.redeem_link(link)
        return enter(request, link.user, method=SignInMethod.MAGIC_LINK, next_url=link.next_url)
