"""The page for banned users."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.sessions.known_devices import users_of
from core.web.client_ip import client_ip
from moderation.access_checks import get_client_denial, get_user_denial


@require_safe
def banned(request: HttpRequest) -> HttpResponse:
    """Why and until when the user of this browser, or its network, is banned.

    A user's own ban is only shown to that user: after a correct sign-in, and here in a browser that
    has signed in as them before.
    """
    known = (get_user_denial(user) for user in users_of(request))
    error = next(filter(None, known), None) or get_client_denial(client_ip(request))
    return render(request, "moderation/banned.html", {"error": error})
