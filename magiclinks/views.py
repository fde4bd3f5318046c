"""Request a sign-in link, and open one."""

import hmac
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.forms import LinkForm
from accounts.models import EmailRequest
from accounts.rate_limits import check_rate_limit
from accounts.services.email_requests import enqueue_request
from accounts.sessions.link_binding import bind_browser, binding_of
from accounts.sessions.store import SIGNED_IN_AT
from accounts.sign_in.methods import SignInMethod
from accounts.views.common import (
    bound_data,
    complete_login,
    form_page,
    get_or_post,
    is_stale,
    prefilled,
    safe_next,
    secret_page,
    unusable_link,
)
from core.branding import current as branding
from core.errors import FeatureClosed, TokenEnded, TokenInvalid
from core.text.email_addresses import mask_email
from core.web.client_ip import client_ip
from core.web.problem_details import error_templates
from core.web.redirects import is_safe_destination, see_other
from magiclinks import services
from magiclinks.models import LoginLink

# The longest time between the use of a link and the start of its session.
REPLAY_WINDOW = timedelta(minutes=1)
EMAIL_PLACEHOLDER = "address@place.invalid"
PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


@get_or_post
def request_link(request: HttpRequest) -> HttpResponse:
    """Queue a request for a link. The response never reveals whether the account exists."""
    if request.user.is_authenticated:
        return redirect(safe_next(request) or "accounts:profile")
    if not settings.ALLOW_MAGIC_LINK_LOGIN:
        raise FeatureClosed(_("Sign-in by link is switched off here."))
    form = LinkForm(_typed(request), initial=prefilled(request, next=safe_next(request)))
    if not form.is_valid():
        return form_page(request, "magiclinks/request.html", form, next=safe_next(request))
    email = form.cleaned_data["email"]
    check_rate_limit(request, "magic-link", email)
    binding = bind_browser(request)
    enqueue_request(
        EmailRequest.Kind.MAGIC_LINK,
        email=email,
        binding=binding.digest,
        next_url=safe_next(request),
    )
    has_transport = settings.MAIL.transport != "none"
    page = _sent_page(get_language() or "en", has_transport, branding.current())
    return binding.keep_in(HttpResponse(page.replace(EMAIL_PLACEHOLDER, escape(email))))


def _typed(request: HttpRequest) -> Any:
    """What was typed; the field `login` of the sign-in page is the address, too."""
    data = bound_data(request)
    if data is None or "email" in data or "login" not in data:
        return data
    typed = data.copy()
    typed["email"] = str(data["login"])
    return typed


@lru_cache(maxsize=8)
def _sent_page(_language: str, has_transport: bool, _brand: branding.Brand) -> str:
    """The response to a request for a link, with EMAIL_PLACEHOLDER for the address.

    Cached, because rendering is half the cost of the request. So nothing on the page may depend
    on the user, which includes the CSRF token.
    """
    context = {"email": EMAIL_PLACEHOLDER, "has_transport": has_transport}
    return render_to_string("magiclinks/sent.html", context)


@secret_page
@get_or_post
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in on GET in the browser that requested the link, and on POST anywhere.

    Every other request only shows the page, so that mail scanners and prefetching browsers do not
    use links up, and so that a URL cannot sign a visitor in to an attacker's account.
    """
    try:
        link = services.find_link(token)
        if request.method == "POST" or auto_confirms(request, link):
            return _redeem(request, link)
    except services.LinkRefused as error:
        services.record_refusal(error)
        return _refused(request, error)
    except TokenInvalid as error:
        return _unusable(request, error)
    context = {"masked_email": mask_email(link.email)}
    return render(request, "magiclinks/confirm.html", context)


def _unusable(request: HttpRequest, error: TokenInvalid) -> HttpResponse:
    """Redirect a replay in the session that the link started (double click, Back, reload)."""
    if isinstance(error, services.LinkUsed) and _started_this_session(request, error.link):
        next_url = error.link.next_url
        if next_url and is_safe_destination(next_url):
            return see_other(next_url)
    return unusable_link(request, error)


def _started_this_session(request: HttpRequest, link: LoginLink) -> bool:
    signed_in_at = request.session.get(SIGNED_IN_AT)
    if link.used_at is None or request.user.pk != link.user_id or not signed_in_at:
        return False
    return abs(datetime.fromisoformat(signed_in_at) - link.used_at) < REPLAY_WINDOW


def _refused(request: HttpRequest, error: services.LinkRefused) -> HttpResponse:
    """Show a ban: the holder of a live link has access to the mailbox."""
    found = access_policy.get_denial(error.user)
    if found is not None and found.since is not None:
        names = error_templates(found.code)
        return render(request, names, {"error": found}, status=403)
    return unusable_link(request, TokenEnded(email=error.user.email))


def auto_confirms(request: HttpRequest, link: LoginLink) -> bool:
    """Whether the browser that requested the link opens it, with no other user signed in."""
    if request.method != "GET" or is_stale(request) or is_prefetch(request):
        return False
    if settings.MAGIC_LINK_CONFIRM == "always":
        return False
    if request.user.is_authenticated and request.user.pk != link.user_id:
        return False
    return bool(link.binding) and hmac.compare_digest(link.binding, binding_of(request))


def is_prefetch(request: HttpRequest) -> bool:
    """Whether the browser says that it is prefetching."""
    stated = " ".join(request.headers.get(name, "") for name in PREFETCH_HEADERS).lower()
    return any(word in stated for word in ("prefetch", "prerender", "preview"))


def _redeem(request: HttpRequest, link: LoginLink) -> HttpResponse:
    # First, so that a client that may not sign in does not use the link up.
    access_policy.require_client_allowed(client_ip(request))
    with transaction.atomic():
        services.redeem_link(link)
        return complete_login(
            request, link.user, method=SignInMethod.MAGIC_LINK, next_url=link.next_url
        )
