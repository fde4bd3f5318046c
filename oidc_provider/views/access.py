"""/account/apps: the apps that a person is signed in to, and the buttons that end it."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.views.common import current_user, redirect_with_notice, replayable
from oidc_provider.services import access


@login_required
@require_safe
def own_access(request: HttpRequest) -> HttpResponse:
    """List the apps."""
    context = {
        "found": access.access_of(current_user(request)),
        "notice": request.GET.get("notice"),
    }
    return render(request, "oidc_provider/access.html", context)


@login_required
@require_POST
@replayable
def end_app_access(request: HttpRequest, app_id: uuid.UUID) -> HttpResponse:
    """Sign out of one app."""
    user = current_user(request)
    access.end_app_access(actor=user, user=user, app_id=app_id)
    return redirect_with_notice("oidc_provider:access", "app-ended")


@login_required
@once("oidc_provider:access", lifetime=DOUBLE_CLICK)
@require_POST
def end_all_app_access(request: HttpRequest) -> HttpResponse:
    """Sign out of every app."""
    user = current_user(request)
    access.end_all_app_access(actor=user, user=user)
    return redirect_with_notice("oidc_provider:access", "apps-ended")
