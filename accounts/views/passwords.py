"""The pages that change a password, and that reset a forgotten one."""

from functools import partial

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.forms import ChangePasswordForm, ForgotForm, GatehouseForm, NewPasswordForm
from accounts.models import AccountToken, EmailRequest, User
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services.email_requests import enqueue_request
from accounts.services.email_tokens import usable_token
from accounts.services.passwords import change_own_password, reset_password
from accounts.services.sessions import renew, require_own_password
from accounts.sessions.link_binding import bind_browser
from accounts.sessions.reauthentication import require_recent_authentication_or_password
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    link_page,
    prefilled,
    redirect_with_notice,
    show_service_errors,
    signed_in,
)
from accounts.views.sessions import session_renewed
from core.errors import FeatureClosed


def require_password_login() -> None:
    """Raise FeatureClosed if ALLOW_EMAIL_LOGIN is off."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))


@login_required
@require_recent_authentication_or_password
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def change_password(request: HttpRequest) -> HttpResponse:
    """Replace your own password; every other device is signed out."""
    require_password_login()
    user = current_user(request)
    asks = {"current_password": user.has_usable_password()}
    form = ChangePasswordForm(bound_data(request), asks=asks)
    if request.method == "POST":
        with show_service_errors(form, credentials_field="current_password"):
            if form.is_valid():
                check_rate_limit(request, "sign-in", user.email)
                change_own_password(
                    user=user,
                    current=form.cleaned_data.get("current_password", ""),
                    new=form.cleaned_data["password"],
                    renew=partial(renew, request, user),
                )
                return session_renewed(request, user, "password-changed")
            check_own_password(request, form, "current_password", "account:password:change")
    return form_page(request, "accounts/password_change.html", form)


def check_own_password(request: HttpRequest, form: GatehouseForm, field: str, action: str) -> None:
    """Check the own password in a form that has other errors, so that all are shown at once.

    It counts as a password attempt like any other. Raises OwnPasswordWrong, RateLimited.
    """
    user = current_user(request)
    if field in form.cleaned_data:
        check_rate_limit(request, "sign-in", user.email)
        require_own_password(user, form.cleaned_data[field], action)


@get_or_post
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Ask for a reset link; the answer never tells whether the account exists."""
    require_password_login()
    if not settings.ALLOW_PASSWORD_RESET:
        text = _("Password resets by mail are switched off here. Ask an administrator.")
        raise FeatureClosed(text)
    form = ForgotForm(bound_data(request), initial=prefilled(request))
    if not form.is_valid():
        return form_page(request, "accounts/password_forgot.html", form)
    email = form.cleaned_data["email"]
    check_rate_limit(request, "reset-password", email)
    binding = bind_browser(request)
    enqueue_request(EmailRequest.Kind.RESET_PASSWORD, email=email, binding=binding.digest)
    sent = render(request, "accounts/password_forgot_sent.html", {"email": email})
    return binding.keep_in(sent)


@link_page
def reset(request: HttpRequest, token: str) -> HttpResponse:
    """Choose a new password by a reset link. Does not sign the user in."""
    require_password_login()
    form = NewPasswordForm(bound_data(request))
    row = usable_token(AccountToken.Purpose.RESET_PASSWORD, token)
    if form.is_valid():
        with show_service_errors(form):
            reset_password(token, form.cleaned_data["password"])
            return _after_reset(request, row.user)
    return form_page(request, "accounts/password_reset.html", form, account=row.user.email)


def _after_reset(request: HttpRequest, user: User) -> HttpResponse:
    """All sessions of `user` have ended; if another user is signed in here, they stay signed in."""
    here = signed_in(request)
    if here is not None and here.pk != user.pk:
        return redirect_with_notice("accounts:profile", "password-changed-other")
    return redirect_with_notice("account_login", "password-changed")
