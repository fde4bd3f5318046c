"""The buttons that end sessions of your own."""

import uuid
from functools import partial

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import sessions
from accounts.sessions import known_devices
from accounts.views.common import current_user, redirect_with_notice, replayable


@login_required
@require_POST
@replayable
def end_session(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Sign one device out."""
    sessions.end_own_session(current_user(request), public_id)
    return redirect_with_notice("accounts:profile", "session-ended")


@login_required
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out every device but this one."""
    user = current_user(request)
    sessions.end_sessions(actor=user, user=user, renew=partial(sessions.renew, request, user))
    return session_renewed(request, user, "sessions-ended")


def session_renewed(request: HttpRequest, user: User, notice: str) -> HttpResponse:
    """The response after a change that has ended all sessions of `user` and renewed this one."""
    response = redirect_with_notice("accounts:profile", notice)
    known_devices.remember(request, response, user)
    return response
