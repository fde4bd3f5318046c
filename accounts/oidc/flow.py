"""From a click on a provider's button to its page, and from its answer to an Arrival.

Each kind of provider registers one Flow; nothing else here knows kinds.
"""

from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.oidc.pending import Pending, begin_pending, remember
from accounts.providers import Provider
from accounts.services.identities import Arrival


class Flow(Protocol):
    """What one kind of provider does; both raise SignInFailed."""

    def authorize_url(self, provider: Provider, pending: Pending) -> str:
        """Where the browser goes: the provider's page, with pending.state and so on."""
        ...

    def finish(self, request: HttpRequest, provider: Provider, pending: Pending) -> Arrival:
        """Who came, after everything that the provider says was verified.

        request: the answer, a GET with `code` and no error; its state has been used up.
        """
        ...


_FLOWS: dict[str, Flow] = {}


def register(kind: str, flow: Flow) -> None:
    """Make `flow` the one of providers of `kind`."""
    _FLOWS[kind] = flow


def flow_of(provider: Provider) -> Flow:
    return _FLOWS[provider.kind]


def redirect_uri(provider: Provider) -> str:
    """The address that is registered at the provider."""
    return f"{settings.PUBLIC_URL}{provider.callback_path}"


def begin(request: HttpRequest, provider: Provider, *, process: str, next_url: str) -> HttpResponse:
    """Answer with the way to the provider's page, and remember in this browser what was begun.

    process: pending.SIGN_IN, or pending.CONNECT of the person who is signed in. Raises
    SignInFailed.
    """
    pending = begin_pending(request, provider, process=process, next_url=next_url)
    url = flow_of(provider).authorize_url(provider, pending)
    response = leave(request, url, provider)
    remember(request, response, pending)
    return response


def leave(request: HttpRequest, url: str, provider: Provider) -> HttpResponse:
    """A page that leads to `url` at the provider at once, by a link too.

    No redirect: Chromium holds redirects after a form against form-action 'self'.
    """
    return render(request, "accounts/to_provider.html", {"url": url, "provider": provider})
