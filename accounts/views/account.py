"""The account page of a signed-in user, and what it leads to: own data, deletion."""

from copy import copy
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.forms import DeleteAccountForm, ProfileForm, is_valid_with
from accounts.models import User
from accounts.passwords import asks_password
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import sessions, signup
from accounts.services.privacy import delete_own_account, export_own_data
from accounts.services.service_accounts import answered_for_by
from accounts.services.users import Profile, check_profile, edit_profile
from accounts.sessions.link_binding import device_name
from accounts.sessions.reauthentication import (
    require_recent_authentication_or_password,
    require_recent_authentication_to_post,
)
from accounts.sessions.store import DEVICE
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    prefilled,
    redirect_with_notice,
    show_service_errors,
)
from core.errors import FeatureClosed, Forbidden, LastOwner


@login_required
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def profile(request: HttpRequest) -> HttpResponse:
    """Profile, sign-in methods, second factors and devices of the signed-in user."""
    user = current_user(request)
    if user.is_built_in:
        return _anonymous_page(request)
    initial = {
        "name": user.name,
        "username": user.username,
        "time_zone": user.time_zone,
        "language": user.language or get_language(),
    }
    form = ProfileForm(bound_data(request), initial=prefilled(request, **initial))
    if is_valid_with(form, lambda typed: _check_profile(user, typed)):
        details = _profile(form.cleaned_data)
        with show_service_errors(form):
            edit_profile(actor=user, user=user, profile=details)
            return redirect_with_notice("accounts:profile", "saved")
        user.refresh_from_db()
    context = {
        "sessions": _devices(request),
        "notice": request.GET.get("notice", ""),
        "allow_deletion": settings.ALLOW_ACCOUNT_DELETION,
        "allow_password": settings.ALLOW_EMAIL_LOGIN,
        "answers_for_programs": answered_for_by(user).exists(),
    }
    return form_page(request, "accounts/profile.html", form, **context)


def _check_profile(user: User, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service would refuse; `user` is not changed."""
    check_profile(copy(user), _profile(typed))


def _profile(typed: dict[str, Any]) -> Profile:
    """What was typed; without a language it stays as it is."""
    return Profile(**typed | {"language": typed.get("language") or None})


def _anonymous_page(request: HttpRequest) -> HttpResponse:
    """The page of the built-in anonymous user, who has no profile."""
    if request.method == "POST":
        raise Forbidden
    allow_registration = settings.ALLOW_REGISTRATION
    context = {
        "allow_registration": allow_registration,
        "needs_first_admin": allow_registration and signup.needs_first_admin(),
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
        for row in sessions.own_sessions(current_user(request))
    ]


@login_required
@require_recent_authentication_to_post
@require_POST
def export(request: HttpRequest) -> HttpResponse:
    """Download everything that is stored about you, as a JSON file."""
    user = current_user(request)
    name = f"gatehouse-{timezone.now():%Y-%m-%d}.json"
    return JsonResponse(
        export_own_data(user),
        json_dumps_params={"indent": 2, "ensure_ascii": False},
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@login_required
@require_recent_authentication_or_password
@get_or_post
def delete(request: HttpRequest) -> HttpResponse:
    """Delete your own account, with your password or your address typed out as confirmation."""
    user = current_user(request)
    if not settings.ALLOW_ACCOUNT_DELETION:
        raise FeatureClosed(_("Accounts are deleted by administrators here."))
    form = DeleteAccountForm(bound_data(request), needs_password=asks_password(user))
    if form.is_valid():
        with show_service_errors(form, credentials_field="proof", shown=LastOwner):
            check_rate_limit(request, "sign-in", user.email)
            delete_own_account(user=user, proof=form.cleaned_data["proof"])
            logout(request)
            return redirect_with_notice("account_login", "account-deleted")
    return form_page(request, "accounts/delete.html", form)


@login_required
@require_safe
def manage_users(request: HttpRequest) -> HttpResponse:
    """Redirect administrators from /settings/workspace/users to the user list of the admin."""
    if not current_user(request).is_staff:
        return render(request, "403.html", status=403)
    return redirect("admin:accounts_user_changelist")
