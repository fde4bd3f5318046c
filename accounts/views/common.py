"""What several pages share: forms, where to go next, notices, pages behind a secret link."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from accounts.forms import GatehouseForm
from accounts.models import User
from accounts.sign_in.methods import SignInMethod
from core.errors import (
    BadCredentials,
    GatehouseError,
    NotFound,
    OwnPasswordWrong,
    RateLimited,
    RecordInvalid,
    TokenInvalid,
)
from core.text.email_addresses import mask_email
from core.web.redirects import safe_destination, see_other
from core.web.sensitive_headers import keep_secret

# Session key: paths of forms that this session has sent with success -> where they redirected.
DONE, MAX_DONE = "_done_forms", 5
View = Callable[Concatenate[HttpRequest, ...], HttpResponse]
get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def bound_data(request: HttpRequest) -> QueryDict | None:
    """The `data` argument of a form: what was posted, even if empty; None for a GET."""
    return request.POST if request.method == "POST" else None


def prefilled(request: HttpRequest, **initial: Any) -> dict[str, Any]:
    """The `initial` argument of a form; what was typed wins if its page was out of date."""
    return initial | (request.POST.dict() if is_stale(request) else {})


def is_stale(request: HttpRequest) -> bool:
    """Whether the page is shown again because its form was out of date; see views.stale."""
    return getattr(request, "is_stale", False)


@contextmanager
def show_service_errors(
    form: GatehouseForm,
    credentials_field: str = "",
    shown: type[GatehouseError] | tuple[type[GatehouseError], ...] = (),
) -> Iterator[None]:
    """Show what a service refuses in the form, and go on after the block.

    RecordInvalid goes to the form's fields; BadCredentials to `credentials_field`, if one is named;
    RateLimited, with its status, and other errors above the form if `shown` names their class.
    """
    try:
        yield
    except RecordInvalid as error:
        form.add_service_errors(error)
    except shown as error:
        if isinstance(error, RateLimited):
            form.refuse(error)
        else:
            form.add_service_errors(error)
    except BadCredentials as error:
        if not credentials_field:
            raise
        form.add_error(
            credentials_field if credentials_field in form.fields else None, error.message
        )
        if isinstance(error, OwnPasswordWrong):
            form.add_service_errors(RecordInvalid(error.errors))


def form_page(
    request: HttpRequest, template: str, form: GatehouseForm, **context: object
) -> HttpResponse:
    """Render a page with a form; if the form has errors, the status is `form.error_status`."""
    status = form.error_status if form.errors else 200
    response = render(request, template, {"form": form, **context}, status=status)
    if form.retry_after_seconds:
        response["Retry-After"] = str(form.retry_after_seconds)
    return response


def safe_next(request: HttpRequest) -> str:
    """The `next` parameter if a redirect to it is allowed, else "" (ASVS 3.7.2)."""
    return safe_destination(request.POST.get("next") or request.GET.get("next") or "")


def current_user(request: HttpRequest) -> User:
    """The user of a view behind login_required."""
    if not isinstance(request.user, User):
        raise TypeError("a view that calls current_user() must be behind login_required")
    return request.user


def signed_in(request: HttpRequest) -> User | None:
    """The signed-in user; None for a visitor and for the built-in anonymous user."""
    user = request.user
    return user if isinstance(user, User) and not user.is_built_in else None


def redirect_with_notice(name: str, notice: str) -> HttpResponse:
    """303 to the page `name`, which shows the message of `notice`."""
    return see_other(f"{reverse(name)}?{urlencode({'notice': notice})}")


def complete_login(
    request: HttpRequest,
    user: User,
    *,
    method: SignInMethod,
    provider: str = "",
    next_url: str = "",
) -> HttpResponse:
    """Run allauth's sign-in flow (access policy, stages, session) and return its redirect.

    provider: the id of the provider, for SignInMethod.PROVIDER only.
    """
    details = {"provider": provider} if method is SignInMethod.PROVIDER else {}
    record_authentication(request, user, method=str(method), **details)
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url=next_url or None))
    return response


def replayable(view: View) -> View:
    """For a form that removes something: if it is sent again (double click, Back, reload), repeat
    the first answer instead of a 404."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            response = view(request, *args, **options)
        except NotFound:
            earlier = request.session.get(DONE, {}).get(request.path)
            if earlier is None:
                raise
            return see_other(earlier)
        location = response.get("Location", "")
        if request.method == "POST" and response.status_code == 303 and "notice=" in location:
            done = request.session.get(DONE, {}) | {request.path: location}
            request.session[DONE] = dict(list(done.items())[-MAX_DONE:])
        return response

    return wrapped


def secret_page(view: View) -> View:
    """For pages with a token in their URL; see keep_secret()."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return keep_secret(view(request, *args, **options))

    return wrapped


def link_page(view: View) -> View:
    """For the page behind a mailed or printed link: secret_page(), and an answer to TokenInvalid.

    Only a POST may use the link.
    """

    @secret_page
    @get_or_post
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            return view(request, *args, **options)
        except TokenInvalid as error:
            return unusable_link(request, error)

    return wrapped


def unusable_link(request: HttpRequest, error: TokenInvalid) -> HttpResponse:
    """Answer a link that is unknown, expired or used: redirect to the sign-in page, which says why.

    A signed-in user stays on this page and reads which account the link was for. If they sent the
    form twice and the first request signed them in, they go to their account.
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
    return render(request, "accounts/unusable_link.html", context)
