"""The device flow: the endpoint for devices, and the page on which their user enters a code.

Whoever sends a code to somebody else shall not get in (RFC 8628, section 5.4): the page says which
app asks, from where, and that a code belongs to a device in front of the user. A link with the code
only fills in the field.
"""

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.forms import GatehouseForm
from accounts.models import User
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import DOUBLE_CLICK, do_once
from accounts.views.common import redirect_with_notice, signed_in
from core.web.client_ip import client_ip
from core.web.redirects import see_other
from oidc_provider import scopes
from oidc_provider.authentication import SessionAuthentication, authentication_of
from oidc_provider.entry import entry_denial
from oidc_provider.errors import ProtocolError
from oidc_provider.models import DeviceCode
from oidc_provider.services import app_scopes, codes, device_codes
from oidc_provider.signing import is_available
from oidc_provider.views.machine import (
    client_of,
    endpoint,
    json_response,
    limit_strangers,
    single_fields,
)

LIMIT = "device-code"
MAX_TYPED = 40
ALLOW, DENY = "allow", "deny"


class CodeForm(GatehouseForm):
    """The code that the device shows."""

    user_code = forms.CharField(
        label=gettext_lazy("Code"), max_length=MAX_TYPED,
        help_text=gettext_lazy("Eight letters, as the device shows them."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )  # fmt: skip


@endpoint("POST")
def device_authorization(request: HttpRequest) -> HttpResponse:
    """Both codes for a device (RFC 8628, section 3.2)."""
    form = single_fields(request)
    app = client_of(request, form)
    if not (app.signs_people_in and app.allows_device_flow and is_available()):
        raise ProtocolError("unauthorized_client", "The app may not use the device flow.")
    names = app_scopes.known_to(app, form.get("scope", "").split())
    if scopes.OPENID not in names:
        raise ProtocolError("invalid_scope", "The scope has to contain openid.")
    limit_strangers(request, app)
    issued = device_codes.issue(app, names, client_ip(request))
    url = f"{settings.PUBLIC_ORIGIN}{reverse('oidc_provider:device')}"
    return json_response(
        {
            "device_code": issued.device_code,
            "user_code": issued.user_code,
            "verification_uri": url,
            "verification_uri_complete": f"{url}?{urlencode({'user_code': issued.user_code})}",
            "expires_in": int(device_codes.LIFETIME.total_seconds()),
            "interval": device_codes.INTERVAL_SECONDS,
        }
    )


@require_http_methods(["GET", "HEAD", "POST"])
def device(request: HttpRequest) -> HttpResponse:
    """Ask for the code, show whose it is, and note the decision."""
    typed = (request.POST if request.method == "POST" else request.GET).get("user_code", "")
    user = signed_in(request)
    authentication = None if user is None else authentication_of(request, user)
    if user is None or authentication is None:
        back = f"{request.path}?{urlencode({'user_code': typed[:MAX_TYPED]})}"
        page = "account_login" if user is None else "account_logout"
        return see_other(f"{reverse(page)}?{urlencode({'next': back})}")
    if request.method != "POST":
        return _entry_page(request, CodeForm(initial={"user_code": typed[:MAX_TYPED]}))
    if request.POST.get("choice") in (ALLOW, DENY):
        return do_once(
            request,
            lambda: _decide(request, typed, user, authentication),
            lambda url: see_other(url or reverse("accounts:profile")),
            lifetime=DOUBLE_CLICK,
        )
    check_rate_limit(request, LIMIT)
    row = device_codes.find_waiting(typed)
    if row is None:
        return _unknown(request, typed)
    return _refusal(request, row, user, authentication) or _confirm_page(request, row, typed)


def _decide(
    request: HttpRequest, typed: str, user: User, authentication: SessionAuthentication
) -> HttpResponse:
    check_rate_limit(request, LIMIT)
    row = device_codes.find_waiting(typed)
    if row is None:
        return _unknown(request, typed)
    allows = request.POST["choice"] == ALLOW
    refused = _refusal(request, row, user, authentication) if allows else None
    if refused is not None:
        return refused
    if not device_codes.decide(row, user, authentication, allows=allows):
        return _unknown(request, typed)
    return redirect_with_notice("accounts:profile", "device-allowed" if allows else "device-denied")


def _refusal(
    request: HttpRequest, row: DeviceCode, user: User, authentication: SessionAuthentication
) -> HttpResponse | None:
    """Why the user may not sign in to the app, as at the authorization endpoint; else None."""
    denial = entry_denial(
        row.app,
        user,
        has_second_factor=authentication.has_second_factor,
        ip=authentication.ip,
    )
    if denial is None:
        return None
    reference = codes.note_refusal(user, row.app, denial.code, authentication)
    context = {"app": row.app, "reason": denial.message, "reference": reference}
    return render(request, "oidc_provider/device_refused.html", context, status=403)


def _confirm_page(request: HttpRequest, row: DeviceCode, typed: str) -> HttpResponse:
    context = {
        "app": row.app,
        "labels": app_scopes.labels(row.app, row.scope.split()),
        "user_code": typed[:MAX_TYPED],
        "asked_from": row.asked_from,
        "is_here": row.asked_from == client_ip(request),
    }
    return render(request, "oidc_provider/device_confirm.html", context)


def _unknown(request: HttpRequest, typed: str) -> HttpResponse:
    form = CodeForm({"user_code": typed[:MAX_TYPED]})
    if form.is_valid():
        form.add_error(
            "user_code",
            _("No device waits with this code. Look at the device: it may show a new one."),
        )
    return _entry_page(request, form)


def _entry_page(request: HttpRequest, form: CodeForm) -> HttpResponse:
    status = form.error_status if form.errors else 200
    return render(request, "oidc_provider/device.html", {"form": form}, status=status)
