"""The page for whoever is banned."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.client import client_ip
from moderation.gate import client_gate


@require_safe
def banned(request: HttpRequest) -> HttpResponse:
    """Why, since when and until when the caller's own network is banned; of accounts nothing.

    A person's own ban is told at the door, to whoever has proved to be that person.
    """
    context = {"error": client_gate(client_ip(request))}
    return render(request, "moderation/banned.html", context)
