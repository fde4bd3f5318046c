"""/confirm: reauthentication before a sensitive action."""

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from accounts.forms import GatehouseForm
from accounts.models import User
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import second_factors
from accounts.services.passwords import find_by_password
from accounts.sessions import reauthentication
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    safe_next,
    show_service_errors,
)
from audit import audit_log
from core.errors import OwnPasswordWrong, RateLimited
from mfa.forms import ReauthenticationForm, SecondFactorForm
from mfa.services import passkeys
from mfa.views.verification import kinds_of, verify_by_form

AGAIN = "again"


@never_cache
@login_required
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask for a second factor, otherwise for the password, otherwise for a new sign-in."""
    user = current_user(request)
    if second_factors.has_factor(user):
        return _by_factor(request, user)
    if settings.ALLOW_EMAIL_LOGIN and user.has_usable_password():
        return _by_password(request, user)
    if request.method == "POST" and AGAIN in request.POST:
        next_url = safe_next(request)
        logout(request)
        return redirect_to_login(next_url or reverse("accounts:profile"))
    return _page(request, user, "again", GatehouseForm())


def _by_factor(request: HttpRequest, user: User) -> HttpResponse:
    form = SecondFactorForm(bound_data(request), initial={"next": safe_next(request)})
    method = verify_by_form(request, user, form, purpose=passkeys.STEP_UP)
    return _confirmed(request, user, method) if method else _page(request, user, "factor", form)


def _by_password(request: HttpRequest, user: User) -> HttpResponse:
    form = ReauthenticationForm(bound_data(request), initial={"next": safe_next(request)})
    if form.is_valid():
        with show_service_errors(form, shown=RateLimited):
            check_rate_limit(request, "sign-in", user.email)
            if find_by_password(user.email, form.cleaned_data["password"]) == user:
                return _confirmed(request, user, "password")
            audit_log.record("account:confirm:password", actor=user, target=user, result="refused")
            form.refuse(OwnPasswordWrong(), "password")
    return _page(request, user, "password", form)


def _confirmed(request: HttpRequest, user: User, method: str) -> HttpResponse:
    audit_log.record("account:confirm:done", actor=user, target=user, method=method)
    return reauthentication.done(request, safe_next(request))


def _page(request: HttpRequest, user: User, way: str, form: GatehouseForm) -> HttpResponse:
    pending = reauthentication.pending_form(request)
    context = {"way": way, "next": safe_next(request), "pending": pending, **kinds_of(user)}
    return form_page(request, "accounts/confirm.html", form, **context)
