"""What several pages share: where to go next, notices, headers of pages that hold a secret."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode

from accounts.destinations import is_safe_destination
from accounts.methods import SignInMethod
from accounts.models import User
from accounts.secrecy import keep_secret

View = Callable[Concatenate[HttpRequest, ...], HttpResponse]


def posted(request: HttpRequest) -> QueryDict | None:
    """The form that was sent, an empty one too; None when the page is only looked at."""
    return request.POST if request.method == "POST" else None


def safe_next(request: HttpRequest) -> str:
    """`next` of the form or the address when it may be gone to, else "" (ASVS 3.7.2)."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    return url if is_safe_destination(url) else ""


def redirect_with_notice(name: str, notice: str) -> HttpResponse:
    """303 to the page `name`, which shows the message of `notice`."""
    return see_other(f"{reverse(name)}?{urlencode({'notice': notice})}")


def see_other(url: str) -> HttpResponse:
    """303, so that reloading the next page never repeats the act."""
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


def enter(
    request: HttpRequest,
    user: User,
    *,
    method: SignInMethod,
    provider: str = "",
    next_url: str = "",
) -> HttpResponse:
    """Run allauth's sign-in flow: gate, stages, session; answers where it leads.

    provider: the id of the provider, for SignInMethod.PROVIDER alone.
    """
    details = {"provider": provider} if method is SignInMethod.PROVIDER else {}
    record_authentication(request, user, method=str(method), **details)
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url=next_url or None))
    return response


def secret_page(view: View) -> View:
    """For pages with a token in their address; see keep_secret()."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return keep_secret(view(request, *args, **options))

    return wrapped


def person(request: HttpRequest) -> User:
    """The signed-in person of a view behind login_required."""
    if not isinstance(request.user, User):
        raise TypeError("a view that needs a person must be behind login_required")
    return request.user
