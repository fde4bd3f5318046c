"""The pages that change an email address, and that verify one."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from accounts.forms import ChangeEmailForm, ConfirmAddressForm
from accounts.models import User
from accounts.passwords import asks_password
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import once, show_once
from accounts.services import verification
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
from accounts.views.passwords import check_own_password


@login_required
@require_recent_authentication_or_password
@once("accounts:profile")
@get_or_post
def change_email(request: HttpRequest) -> HttpResponse:
    """Ask for a link to a new address; the account keeps the old one until it is opened."""
    user = current_user(request)
    form = ChangeEmailForm(
        bound_data(request),
        asks={"password": asks_password(user)},
        initial=prefilled(request),
    )
    if request.method == "POST":
        with show_service_errors(form, credentials_field="password"):
            if form.is_valid():
                verification.request_email_change(
                    request,
                    user=user,
                    password=form.cleaned_data.get("password", ""),
                    new=form.cleaned_data["email"],
                )
                sent = {"email": form.cleaned_data["email"]}
                return show_once(render(request, "accounts/verify_sent.html", sent))
            check_own_password(request, form, "password", "account:email:change-request")
    return form_page(request, "accounts/email_change.html", form)


@link_page
def verify_email(request: HttpRequest, token: str) -> HttpResponse:
    """Verify an address by its link. In another browser than the one that asked for the link, the
    account's password is needed as well."""
    row = verification.find_verification(token)
    is_asking = verification.is_asking_browser(request, row)
    needs_password = not is_asking and asks_password(row.user)
    form = ConfirmAddressForm(bound_data(request), asks={"password": needs_password})
    if form.is_valid():
        with show_service_errors(form, credentials_field="password"):
            if needs_password:
                check_rate_limit(request, "sign-in", row.user.email)
            verification.confirm_address(
                token,
                is_asking_browser=is_asking,
                password=form.cleaned_data.get("password", ""),
            )
            return _after_verifying(request, row.user)
    return form_page(
        request,
        "accounts/verify_confirm.html",
        form,
        email=row.email,
        account=row.user.email,
        needs_sign_in=not is_asking and verification.needs_sign_in(row),
    )


def _after_verifying(request: HttpRequest, user: User) -> HttpResponse:
    """An invitation accepted with the address may have ended the sessions of `user`."""
    here = signed_in(request)
    if here is None:
        return redirect_with_notice("account_login", "email-verified")
    if here.pk != user.pk:
        return redirect_with_notice("accounts:profile", "email-verified-other")
    is_alive = User.objects.filter(
        pk=here.pk, credentials_valid_from=here.credentials_valid_from
    ).exists()
    return redirect_with_notice(
        "accounts:profile" if is_alive else "account_login", "email-verified"
    )


@login_required
@once("accounts:profile")
@require_POST
def resend_verification(request: HttpRequest) -> HttpResponse:
    """Mail the verification link again. Raises RateLimited."""
    user = current_user(request)
    if not user.is_verified:
        verification.resend_verification(request, user)
    return show_once(render(request, "accounts/verify_sent.html", {"email": user.email}))
