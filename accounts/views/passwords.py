"""The pages that reset a forgotten password."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.forms import (
    ForgotForm,
    NewPasswordForm,
)
from accounts.link_binding import PURPOSE as BROWSER
from accounts.link_binding import bind, browser_id
from accounts.models import AccountToken, EmailRequest, User
from accounts.rate_limits import check_rate_limit
from accounts.services.email_requests import enqueue_request
from accounts.services.email_tokens import usable_token
from accounts.services.passwords import reset_password
from accounts.views.common import (
    bound_data,
    get_or_post,
    prefilled,
    redirect_with_notice,
    secret_page,
    signed_in,
    unusable_link,
)
from core.errors import (
    FeatureClosed,
    RecordInvalid,
    TokenInvalid,
)
from core.tokens import digest


@get_or_post
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Ask for a reset link; the answer never tells whether the account exists."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    if not settings.ALLOW_PASSWORD_RESET:
        raise FeatureClosed(_("Password resets by mail are switched off here. Ask an operator."))
    form = ForgotForm(bound_data(request), initial=prefilled(request))
    if request.method != "POST" or not form.is_valid():
        status = 400 if request.method == "POST" else 200
        return render(request, "accounts/password_forgot.html", {"form": form}, status=status)
    email = form.cleaned_data["email"]
    check_rate_limit(request, "reset-password", email)
    value = browser_id(request)
    enqueue_request(EmailRequest.Kind.RESET_PASSWORD, email=email, binding=digest(BROWSER, value))
    response = render(request, "accounts/password_forgot_sent.html", {"email": email})
    bind(request, response, value)
    return response


@secret_page
@get_or_post
def reset(request: HttpRequest, token: str) -> HttpResponse:
    """Choose a new password; only the POST uses the link. Signs nobody in."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    form = NewPasswordForm(bound_data(request))
    try:
        row = usable_token(AccountToken.Purpose.RESET_PASSWORD, token)
        if request.method == "POST" and form.is_valid():
            reset_password(token, form.cleaned_data["password"])
            return _after_reset(request, row.user)
    except TokenInvalid as error:
        return unusable_link(request, error)
    except RecordInvalid as error:
        form.add_service_errors(error)
    status = 400 if request.method == "POST" else 200
    context = {"form": form, "account": row.user.email}
    return render(request, "accounts/password_reset.html", context, status=status)


def _after_reset(request: HttpRequest, user: User) -> HttpResponse:
    """All sessions of `user` have ended; somebody else who is signed in stays so."""
    here = signed_in(request)
    if here is not None and here.pk != user.pk:
        return redirect_with_notice("accounts:profile", "password-changed-other")
    return redirect_with_notice("account_login", "password-changed")
