"""The page for whoever is banned."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.known_devices import users_of
from core.client_ip import client_ip
from moderation.access_checks import get_client_denial, get_user_denial


@require_safe
def banned(request: HttpRequest) -> HttpResponse:
    """Why, since when and until when whoever uses this browser, or its network, is banned.

    A person's own ban is told only at the door, to whoever has proved to be that person, and
    here, in a browser that has signed in as him before.
    """
    known = (get_user_denial(user) for user in users_of(request))
    error = next(filter(None, known), None) or get_client_denial(client_ip(request))
    return render(request, "moderation/banned.html", {"error": error})
