"""Connecting a provider to my own account, and taking it away again."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts import devices
from accounts.buttons import method_of
from accounts.errors import NotFound
from accounts.oidc.errors import SignInFailed
from accounts.oidc.flow import begin
from accounts.oidc.pending import CONNECT
from accounts.providers import find
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import sessions
from accounts.services.identities import LastWayIn, disconnect, is_held
from accounts.social.kinds import register_social
from accounts.stepup import require_fresh
from accounts.views.common import person, redirect_with_notice, replayable
from accounts.views.entrance import get_or_post
from accounts.views.oauth import failed

register_social()


@login_required
@require_POST
@require_fresh
def connect(request: HttpRequest, provider: str) -> HttpResponse:
    """Go to the provider, to come back with an identity of mine."""
    found = find(provider)
    try:
        return begin(request, found, process=CONNECT, next_url=reverse("accounts:profile"))
    except SignInFailed as error:
        return failed(request, found, error)


@login_required
@replayable
@require_fresh
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def disconnect_page(request: HttpRequest, identity_id: uuid.UUID) -> HttpResponse:
    """GET asks, POST takes it away; every other device is signed out."""
    user = person(request)
    identity = user.identities.filter(pk=identity_id).first()
    if identity is None or is_held(identity):
        raise NotFound
    method = method_of(user, identity)
    status = 200
    if request.method == "POST":
        try:
            disconnect(user=user, identity_id=identity_id)
        except LastWayIn as error:
            status = error.status
        else:
            sessions.renew(request, user)
            response = redirect_with_notice("accounts:profile", "disconnected")
            devices.remember(request, response, user)
            return response
    return render(request, "accounts/identity_disconnect.html", {"method": method}, status=status)
