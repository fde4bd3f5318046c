"""The pages of a signed-in person: profile, devices, password, address, own data, deletion."""

import uuid
from copy import copy
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import devices
from accounts.browser import device_name
from accounts.errors import (
    BadCredentials,
    FeatureClosed,
    Forbidden,
    LastOwner,
    OwnPasswordWrong,
    RecordInvalid,
    TokenInvalid,
)
from accounts.forms import (
    ChangeEmailForm,
    ChangePasswordForm,
    ConfirmAddressForm,
    DeleteAccountForm,
    GatehouseForm,
    ProfileForm,
    is_valid_with,
)
from accounts.limits import count_try
from accounts.models import User
from accounts.passwords import asks_password
from accounts.sent_forms import DOUBLE_CLICK, once, show_once
from accounts.services import sessions, signup, verification
from accounts.services.passwords import change_own_password
from accounts.services.privacy import delete_own_account, export_own_data
from accounts.services.sessions import require_own_password
from accounts.services.users import Profile, check_profile, edit_profile
from accounts.sessions import DEVICE
from accounts.stepup import require_fresh_beside_password, require_fresh_to_post
from accounts.views.common import (
    link_over,
    person,
    posted,
    prefilled,
    redirect_with_notice,
    replayable,
    secret_page,
    signed_in,
)
from accounts.views.entrance import get_or_post


@login_required
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def profile(request: HttpRequest) -> HttpResponse:
    """Who I am, what I may, where I am signed in."""
    user = person(request)
    if user.is_built_in:
        return _page_of_everybody(request)
    initial = {"name": user.name, "username": user.username}
    form = ProfileForm(posted(request), initial=prefilled(request, **initial))
    if is_valid_with(form, lambda typed: _check_profile(user, typed)):
        details = Profile(name=form.cleaned_data["name"], username=form.cleaned_data["username"])
        try:
            edit_profile(actor=user, user=user, profile=details)
            return redirect_with_notice("accounts:profile", "saved")
        except RecordInvalid as error:
            form.add_service_errors(error)
            user.refresh_from_db()
    context = {
        "form": form,
        "sessions": _devices(request),
        "notice": request.GET.get("notice", ""),
        "allow_deletion": settings.ALLOW_ACCOUNT_DELETION,
        "allow_password": settings.ALLOW_EMAIL_LOGIN,
    }
    status = 400 if form.errors else 200
    return render(request, "accounts/profile.html", context, status=status)


def _check_profile(user: User, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service will object to; `user` stays as they are."""
    check_profile(copy(user), Profile(name=typed.get("name"), username=typed.get("username")))


def _page_of_everybody(request: HttpRequest) -> HttpResponse:
    """What the anonymous user has instead of a profile."""
    if request.method == "POST":
        raise Forbidden
    allow_registration = settings.ALLOW_REGISTRATION
    context = {
        "allow_registration": allow_registration,
        "is_fresh": allow_registration and signup.is_fresh(),
    }
    return render(request, "accounts/anonymous.html", context)


def _devices(request: HttpRequest) -> list[dict[str, object]]:
    current = request.session.get(DEVICE, {}).get("id")
    return [
        {
            "public_id": row.public_id,
            "device": device_name(row.user_agent),
            "ip": row.ip,
            "created_at": row.created_at,
            "last_seen_at": row.last_seen_at,
            "is_current": str(row.public_id) == current,
        }
        for row in sessions.own_sessions(person(request))
    ]


@login_required
@require_POST
@replayable
def end_session(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Sign one of my devices out."""
    sessions.end_own_session(person(request), public_id)
    return redirect_with_notice("accounts:profile", "session-ended")


@login_required
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere but here."""
    user = person(request)
    sessions.end_sessions(actor=user, user=user)
    return _stay(request, user, "sessions-ended")


def _stay(request: HttpRequest, user: User, notice: str) -> HttpResponse:
    """All devices have just been signed out and forgotten: this one comes back."""
    sessions.renew(request, user)
    response = redirect_with_notice("accounts:profile", notice)
    devices.remember(request, response, user)
    return response


@login_required
@require_fresh_beside_password
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def change_password(request: HttpRequest) -> HttpResponse:
    """Replace my password; every other device is signed out."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    user = person(request)
    form = ChangePasswordForm(posted(request), has_password=user.has_usable_password())
    if request.method == "POST":
        try:
            if form.is_valid():
                count_try(request, "sign-in", user.email)
                change_own_password(
                    user=user,
                    current=form.cleaned_data.get("current_password", ""),
                    new=form.cleaned_data["password"],
                )
                return _stay(request, user, "password-changed")
            _look_at_password(request, form, "current_password", "account:password:change")
        except OwnPasswordWrong as error:
            _show_wrong_password(form, "current_password", error)
        except RecordInvalid as error:
            form.add_service_errors(error)
    return _form_page(request, "accounts/password_change.html", form)


@login_required
@require_fresh_beside_password
@once("accounts:profile")
@get_or_post
def change_email(request: HttpRequest) -> HttpResponse:
    """Ask for a link to a new address."""
    user = person(request)
    form = ChangeEmailForm(
        posted(request), has_password=asks_password(user), initial=prefilled(request)
    )
    if request.method == "POST":
        try:
            if form.is_valid():
                verification.request_email_change(
                    request,
                    user=user,
                    password=form.cleaned_data.get("password", ""),
                    new=form.cleaned_data["email"],
                )
                sent = {"email": form.cleaned_data["email"]}
                return show_once(render(request, "accounts/verify_sent.html", sent))
            _look_at_password(request, form, "password", "account:email:change-request")
        except OwnPasswordWrong as error:
            _show_wrong_password(form, "password", error)
        except RecordInvalid as error:
            form.add_service_errors(error)
    return _form_page(request, "accounts/email_change.html", form)


def _look_at_password(request: HttpRequest, form: GatehouseForm, field: str, action: str) -> None:
    """Of a form that is wrong elsewhere: is the own password in it right? Counted as any guess."""
    user = person(request)
    if field in form.cleaned_data:
        count_try(request, "sign-in", user.email)
        require_own_password(user, form.cleaned_data[field], action)


def _show_wrong_password(form: GatehouseForm, field: str, error: OwnPasswordWrong) -> None:
    form.add_error(field, error.message)
    form.add_service_errors(RecordInvalid(error.errors))


@secret_page
@get_or_post
def verify_email(request: HttpRequest, token: str) -> HttpResponse:
    """Prove an address; only the POST uses the link."""
    try:
        row = verification.find_verification(token)
        is_asking = verification.is_asking_browser(request, row)
        needs_password = not is_asking and asks_password(row.user)
        form = ConfirmAddressForm(posted(request), needs_password=needs_password)
        if request.method == "POST" and form.is_valid():
            password = form.cleaned_data.get("password", "")
            if needs_password:
                count_try(request, "sign-in", row.user.email)
            verification.confirm_address(token, is_asking_browser=is_asking, password=password)
            return _after_verifying(request, row.user)
    except TokenInvalid as error:
        return link_over(request, error)
    except BadCredentials as error:
        form.add_error("password" if "password" in form.fields else None, error.message)
    return _form_page(
        request,
        "accounts/verify_confirm.html",
        form,
        email=row.email,
        account=row.user.email,
        needs_sign_in=not is_asking and verification.needs_sign_in(row),
    )


def _after_verifying(request: HttpRequest, user: User) -> HttpResponse:
    """An invitation that was accepted by it may have ended the sessions of `user`."""
    here = signed_in(request)
    if here is None:
        return redirect_with_notice("account_login", "email-verified")
    if here.pk != user.pk:
        return redirect_with_notice("accounts:profile", "email-verified-other")
    is_alive = User.objects.filter(pk=here.pk, not_before=here.not_before).exists()
    return redirect_with_notice(
        "accounts:profile" if is_alive else "account_login", "email-verified"
    )


@login_required
@once("accounts:profile")
@require_POST
def resend_verification(request: HttpRequest) -> HttpResponse:
    """Mail me the link again."""
    user = person(request)
    if not user.is_verified:
        verification.resend_verification(request, user)
    return show_once(render(request, "accounts/verify_sent.html", {"email": user.email}))


@login_required
@require_fresh_to_post
@require_POST
def export(request: HttpRequest) -> HttpResponse:
    """All that is stored about me, as a JSON file."""
    user = person(request)
    name = f"gatehouse-{timezone.now():%Y-%m-%d}.json"
    return JsonResponse(
        export_own_data(user),
        json_dumps_params={"indent": 2, "ensure_ascii": False},
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@login_required
@require_fresh_beside_password
@get_or_post
def delete(request: HttpRequest) -> HttpResponse:
    """Remove my account for good, after proof."""
    user = person(request)
    if not settings.ALLOW_ACCOUNT_DELETION:
        raise FeatureClosed(_("Accounts are deleted by operators here."))
    form = DeleteAccountForm(posted(request), has_password=asks_password(user))
    if request.method == "POST" and form.is_valid():
        try:
            count_try(request, "sign-in", user.email)
            delete_own_account(user=user, proof=form.cleaned_data["proof"])
            logout(request)
            return redirect_with_notice("account_login", "account-deleted")
        except BadCredentials as error:
            form.add_error("proof", error.message)
        except LastOwner as error:
            form.add_error(None, error.message)
    return _form_page(request, "accounts/delete.html", form)


@login_required
@require_safe
def manage_users(request: HttpRequest) -> HttpResponse:
    """/settings/workspace/users leads operators to the user list of the admin panel."""
    if not person(request).is_staff:
        return render(request, "403.html", status=403)
    return redirect("admin:accounts_user_changelist")


def _form_page(
    request: HttpRequest, template: str, form: GatehouseForm, **context: object
) -> HttpResponse:
    status = 400 if form.errors else 200
    return render(request, template, {"form": form, **context}, status=status)
