"""From a click on a provider's button to its page, and from its answer to an ExternalUserInfo.

Each kind of provider registers one Flow; nothing else here knows kinds.
"""

from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.link_binding import bind, browser_id
from core.errors import NotFound
from core.redirects import safe_destination
from federation.oidc.authorization_request import (
    SIGN_IN,
    AuthorizationRequest,
    make_authorization_request,
    remember,
)
from federation.oidc.errors import SignInFailed
from federation.providers import Provider, find
from federation.services.identities import ExternalUserInfo


class Flow(Protocol):
    """What one kind of provider does; both raise SignInFailed."""

    def authorize_url(self, provider: Provider, pending: AuthorizationRequest) -> str:
        """Where the browser goes: the provider's page, with pending.state and so on."""
        ...

    def finish(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> ExternalUserInfo:
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
    pending = make_authorization_request(request, provider, process=process, next_url=next_url)
    url = flow_of(provider).authorize_url(provider, pending)
    response = redirect_page(request, url, provider)
    remember(request, response, pending, provider)
    if signed_out_cookie() in request.COOKIES:
        response.delete_cookie(signed_out_cookie(), samesite="Lax")
    # Whoever still has to prove his address opens the mailed link in this browser.
    bind(request, response, browser_id(request))
    return response


def to_usual_provider(request: HttpRequest) -> HttpResponse | None:
    """OPENID_AUTO_REDIRECT: where a stranger goes instead of the sign-in page, or None.

    Not with ?local=1, nor where the page has something to tell, nor while the provider is down, nor
    in a browser that has signed out: the provider would sign it in again at once.
    """
    if not settings.AUTO_REDIRECT or {"local", "notice"} & set(request.GET):
        return None
    if request.COOKIES.get(signed_out_cookie()):
        return None
    try:
        provider = find(settings.AUTO_REDIRECT)
        next_url = safe_destination(request.GET.get("next", ""))
        return begin(request, provider, process=SIGN_IN, next_url=next_url)
    except (NotFound, SignInFailed):
        return None


def signed_out_cookie() -> str:
    """Holds while the browser is open, or until somebody begins to sign in by a provider."""
    return f"{settings.COOKIE_PREFIX}gatehouse_signed_out"


def stay_signed_out(response: HttpResponse) -> HttpResponse:
    """No sign-in begins by itself in this browser from now on; see to_usual_provider()."""
    if settings.AUTO_REDIRECT:
        response.set_cookie(
            signed_out_cookie(), "1", secure=settings.IS_HTTPS, httponly=True, samesite="Lax"
        )
    return response


def redirect_page(request: HttpRequest, url: str, provider: Provider) -> HttpResponse:
    """A page that leads to `url` at the provider at once, by a link too.

    No redirect: Chromium holds redirects after a form against form-action 'self'.
    """
    return render(request, "accounts/to_provider.html", {"url": url, "provider": provider})
