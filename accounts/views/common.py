"""What several pages share: where to go next, notices, headers of pages that hold a secret."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.addresses import mask_email
from accounts.destinations import safe_destination, see_other
from accounts.errors import NotFound, TokenInvalid
from accounts.methods import SignInMethod
from accounts.models import User
from accounts.secrecy import keep_secret

# Paths of forms that this session has sent with success, and what they led to.
DONE, DONE_MAX = "_done_forms", 5
View = Callable[Concatenate[HttpRequest, ...], HttpResponse]


def posted(request: HttpRequest) -> QueryDict | None:
    """The form that was sent, an empty one too; None when the page is only looked at."""
    return request.POST if request.method == "POST" else None


def safe_next(request: HttpRequest) -> str:
    """`next` of the form or the address when it may be gone to, else "" (ASVS 3.7.2)."""
    return safe_destination(request.POST.get("next") or request.GET.get("next") or "")


def prefilled(request: HttpRequest, **initial: Any) -> dict[str, Any]:
    """What a form begins with: `initial`, or what was typed into one that was out of date."""
    return initial | (request.POST.dict() if is_stale(request) else {})


def is_stale(request: HttpRequest) -> bool:
    """Is the page shown again because its form was out of date? See accounts.views.stale."""
    return getattr(request, "is_stale", False)


def signed_in(request: HttpRequest) -> User | None:
    """The person who is signed in; None for nobody and for the anonymous user."""
    user = request.user
    return user if isinstance(user, User) and not user.is_built_in else None


def link_over(request: HttpRequest, error: TokenInvalid) -> HttpResponse:
    """Where a link leads that opens nothing: to the sign-in page, which says why.

    Whoever is signed in stays here and reads for which account it was, and as whom they are in;
    whose own form came twice, and has let them in by the first, is in.
    """
    user = signed_in(request)
    if user is None:
        return redirect_with_notice("account_login", error.notice)
    if error.is_use and is_stale(request) and error.email == user.email:
        return see_other(reverse("accounts:profile"))
    context = {
        "notice": error.notice,
        "email": mask_email(error.email) if error.email else "",
        "is_own": error.email == user.email,
    }
    return render(request, "accounts/link_over.html", context)


def redirect_with_notice(name: str, notice: str) -> HttpResponse:
    """303 to the page `name`, which shows the message of `notice`."""
    return see_other(f"{reverse(name)}?{urlencode({'notice': notice})}")


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


def replayable(view: View) -> View:
    """For a form that takes something away: sent again (double click, Back, reload), it says once
    more what it has done in this session, instead of that there is no such thing."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            response = view(request, *args, **options)
        except NotFound:
            told = request.session.get(DONE, {}).get(request.path)
            if told is None:
                raise
            return see_other(told)
        told = response.get("Location", "")
        if request.method == "POST" and response.status_code == 303 and "notice=" in told:
            done = request.session.get(DONE, {}) | {request.path: told}
            request.session[DONE] = dict(list(done.items())[-DONE_MAX:])
        return response

    return wrapped


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
