"""/account/service-accounts: those that a person answers for, and their keys.

For people who are not administrators; the panel shows all service accounts. The rule is that of
the API: accounts.services.service_accounts.may_manage_keys().
"""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.forms import is_valid_with
from accounts.models import User
from accounts.sent_forms import once, show_once
from accounts.services.service_accounts import answered_for_by, may_manage_keys
from accounts.sessions.reauthentication import require_recent_authentication_to_post
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    redirect_with_notice,
    replayable,
    show_service_errors,
)
from api.apikeys import services
from api.views.keypages import NewKeyForm, check_new_key, key_row
from core.errors import Forbidden, NotFound
from core.web.single_values import may_repeat


@login_required
@require_safe
def own_list(request: HttpRequest) -> HttpResponse:
    """The service accounts that the person answers for."""
    person = current_user(request)
    now = timezone.now()
    rows = [_account_row(account, person, now) for account in answered_for_by(person)]
    context = {"accounts": rows, "notice": request.GET.get("notice", "")}
    return render(request, "api/service_accounts.html", context)


@login_required
@require_recent_authentication_to_post
@once("serviceaccounts:list")
@get_or_post
@may_repeat("scopes")
def keys(request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
    """The keys of one, with a form for a new one. POST shows the new key once."""
    person = current_user(request)
    account = _answered(person, user_id)
    may_create = may_manage_keys(person, account) and account.is_active
    if request.method == "POST" and not may_create:
        raise Forbidden
    form = NewKeyForm(bound_data(request), user=account)
    if is_valid_with(form, lambda typed: check_new_key(account, form, typed)):
        with show_service_errors(form):
            issued = services.create_key(actor=person, user=account, key_request=form.key_request())
            context = {"key": issued.key, "text": issued.text, "account": account}
            return show_once(render(request, "api/service_account_key.html", context))
    form.speak_of_another_account()
    now = timezone.now()
    context = {
        "account": account,
        "keys": [key_row(key, now) for key in services.own_keys(account)],
        "may_create": may_create,
        "notice": request.GET.get("notice", ""),
    }
    return form_page(request, "api/service_account.html", form, **context)


@login_required
@replayable
@get_or_post
def revoke(request: HttpRequest, user_id: uuid.UUID, key_id: str) -> HttpResponse:
    """Ask for confirmation; POST revokes the key."""
    person = current_user(request)
    account = _answered(person, user_id)
    key = services.own_key(account, key_id)
    if request.method != "POST":
        context = {"key": key, "account": account}
        return render(request, "api/service_account_revoke.html", context)
    services.revoke_key(actor=person, key=key)
    return redirect_with_notice("serviceaccounts:list", "key-revoked")


def _answered(person: User, user_id: uuid.UUID) -> User:
    """The account, if the person answers for it. Raises NotFound: others do not learn of it."""
    account = answered_for_by(person).filter(pk=user_id).first()
    if account is None:
        raise NotFound
    return account


def _account_row(account: User, person: User, now: Any) -> dict[str, Any]:
    live = [key for key in services.own_keys(account) if services.state_of(key, now) == "live"]
    return {
        "account": account,
        "live": len(live),
        "last_used": max((key.last_used_at for key in live if key.last_used_at), default=None),
        "may_create": may_manage_keys(person, account),
        "is_ended": not account.is_active or account.is_expired(now),
    }
