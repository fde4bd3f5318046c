"""Pages that connect a provider to the own account, and disconnect it."""

import uuid
from functools import partial

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services.credentials import LastSignInMethod
from accounts.services.sessions import renew
from accounts.sessions.reauthentication import require_recent_authentication
from accounts.views.common import current_user, get_or_post, replayable
from accounts.views.sessions import session_renewed
from core.errors import NotFound
from federation.buttons import method_of
from federation.flow import begin
from federation.oidc.authorization_request import CONNECT
from federation.oidc.errors import SignInFailed
from federation.providers import find
from federation.services.identities import disconnect, is_directory_managed
from federation.views.oauth import failed


@login_required
@require_POST
@require_recent_authentication
def connect(request: HttpRequest, provider: str) -> HttpResponse:
    """Start the flow that connects an identity to the signed-in account."""
    found = find(provider)
    try:
        return begin(request, found, process=CONNECT, next_url=reverse("accounts:profile"))
    except SignInFailed as error:
        return failed(request, found, error)


@login_required
@replayable
@require_recent_authentication
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def disconnect_page(request: HttpRequest, identity_id: uuid.UUID) -> HttpResponse:
    """GET asks for confirmation; POST disconnects and signs out every other device."""
    user = current_user(request)
    identity = user.identities.filter(pk=identity_id).first()
    if identity is None or is_directory_managed(identity):
        raise NotFound
    method = method_of(user, identity)
    status = 200
    if request.method == "POST":
        try:
            disconnect(user=user, identity_id=identity_id, renew=partial(renew, request, user))
        except LastSignInMethod as error:
            status = error.status
        else:
            return session_renewed(request, user, "disconnected")
    return render(request, "accounts/identity_disconnect.html", {"method": method}, status=status)
