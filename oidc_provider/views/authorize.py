"""The authorization endpoint, and the page that asks for consent.

Nothing that arrives in the browser is believed: the form of consent brings the parameters of the
request again, and they are checked again as at first.
"""

from collections.abc import Mapping
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access_policy import DenialReason
from accounts.models import User
from accounts.sent_forms import DOUBLE_CLICK, do_once, show_once
from accounts.views.common import signed_in
from applications.models import App
from applications.redirect_uris import is_registered
from core import sql
from core.errors import GatehouseError, RepeatedParameter
from core.web.redirects import see_other
from core.web.single_values import may_repeat
from moderation.services.bans import note_no_ban
from oidc_provider.authentication import (
    MULTI_FACTOR,
    SINGLE_FACTOR,
    SessionAuthentication,
    authentication_in,
    authentication_of,
)
from oidc_provider.entry import entry_denial
from oidc_provider.errors import ProtocolError, RequestUnusable
from oidc_provider.id_tokens import read_hint
from oidc_provider.live_sessions import find_live_session
from oidc_provider.models import PushedRequest
from oidc_provider.parameters import (
    PARAMETERS,
    STEP,
    AuthorizationRequest,
    has_null,
    read_request,
    response_mode_of,
)
from oidc_provider.services import app_scopes, codes
from oidc_provider.services.pushed_requests import PREFIX, find, use_up
from oidc_provider.signing import is_available
from oidc_provider.subjects import subject_of
from oidc_provider.views.answers import Target, answer, answer_url, as_get
from oidc_provider.views.steps import came_from_form, marked, needs_sign_in, to_sign_in

MAX_QUERY = 8000
# All that the browser brings if the app has pushed its request.
NAMES_PUSHED = ("client_id", "request_uri")
ALLOW, DENY = "allow", "deny"
Given = Mapping[str, str]
# With one of these, code_at_once() leaves a request to authorize().
NEVER_AT_ONCE = frozenset({
    *("response_mode", "max_age", "id_token_hint", "claims", "request", "request_uri"),
    *("registration", STEP),
})  # fmt: skip


class Visit(NamedTuple):
    """The signed-in user at a request of an app. choice: what they chose on the page, or "".

    given: what the browser brings, and brings again from our pages. pushed: the request that it
    names, if the app has pushed one.
    """

    target: Target
    asked: AuthorizationRequest
    given: Given
    user: User
    authentication: SessionAuthentication
    choice: str
    pushed: PushedRequest | None


@csrf_exempt
@may_repeat(*PARAMETERS)
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """Send the browser back to the app with a code, perhaps after a sign-in and a question.

    A request by POST comes from a page of the app, without our cookies; it goes on as a GET, which
    changes nothing that the user was not asked.
    """
    if request.method == "POST":
        return as_get(request, PARAMETERS)
    return _handle(request, request.GET, choice="")


def code_at_once(given: Given, session: str, ip: str) -> str | None:
    """Where authorize() sends a browser with a code; None if that has to answer.

    Then nothing has happened yet. For a request that is answered without any page, by a session
    that is in order. Asks what authorize() asks, by the same functions and in the same order; for
    whatever is wrong, and whatever a person has to see, that is asked again. given: each parameter
    once. session: the cookie. ip: whence the browser asks.
    """
    if not NEVER_AT_ONCE.isdisjoint(given) or given.get("prompt", "none") != "none":
        return None
    try:
        target = _target(given)
        if not target.redirect_uri.isascii():
            return None  # a header has to be encoded
        _require_pushed(target.app, None)
        asked = _asked(given, target.app)
        live = find_live_session(session)
        authentication = None if live is None else authentication_in(live.store, live.user, ip)
        if live is None or live.user.is_built_in or authentication is None:
            return None
        visit = Visit(target, asked, given, live.user, authentication, "", None)
        _require_asked(visit)
        if live.has_no_ban:
            note_no_ban(live.user)
        if _entry_denial(visit) is not None or _must_ask(visit):
            return None
        return answer_url(target, {"code": _code(visit)})
    except (ProtocolError, GatehouseError):
        return None


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """The form of the page of consent."""
    given = QueryDict(request.POST.get("request", ""))
    user = signed_in(request)
    choice = request.POST.get("choice", "")
    if user is None or str(user.pk) != request.POST.get("account") or choice not in (ALLOW, DENY):
        # Signed out, or signed in as someone else in another tab: the question is asked anew.
        return see_other(f"{reverse('oidc_provider:authorize')}?{given.urlencode()}")
    if "request_uri" not in given:
        return _handle(request, given, choice=choice)
    return _decide_once(request, given, choice)


def _decide_once(request: HttpRequest, given: QueryDict, choice: str) -> HttpResponse:
    """A pushed request is answered once, so the second of a double click gets the same page.

    Not a page that posts the answer, whose policy of content would be lost.
    """

    def work() -> HttpResponse:
        response = _handle(request, given, choice=choice)
        if response.status_code == 200 and "Content-Security-Policy" not in response:
            show_once(response, reverse("accounts:profile"))
        return response

    def lead_back(url: str) -> HttpResponse:
        return see_other(url or reverse("accounts:profile"))

    return do_once(request, work, lead_back, lifetime=DOUBLE_CLICK)


def _handle(request: HttpRequest, given: QueryDict, *, choice: str) -> HttpResponse:
    fields = _fields(given)
    pushed = _pushed(fields)
    if pushed is not None:
        # Whatever else the browser brings was not pushed, and is not read (RFC 9126, section 4).
        fields = {name: fields[name] for name in (*NAMES_PUSHED, STEP) if name in fields}
    parameters = fields if pushed is None else pushed.parameters
    target = _target(parameters)
    after_form = bool(choice) or came_from_form(fields)
    try:
        _require_single(given)
        _require_pushed(target.app, pushed)
        asked = _asked(parameters, target.app)
        return _ask_or_answer(request, target, asked, fields, choice, pushed)
    except ProtocolError as error:
        if pushed is not None:
            use_up(pushed)
        return answer(request, target, error.members, after_form=after_form)


def _asked(parameters: Given, app: App) -> AuthorizationRequest:
    """Raises ProtocolError."""
    return read_request(
        parameters, is_public=app.is_public_client, custom=app_scopes.custom_names(app)
    )


def _require_pushed(app: App, pushed: PushedRequest | None) -> None:
    if pushed is None and app.requires_pushed_requests:
        raise ProtocolError("invalid_request", "This app has to push its requests.")


def _pushed(fields: Given) -> PushedRequest | None:
    """The pushed request that the browser names; None for none. Raises RequestUnusable."""
    uri = fields.get("request_uri", "")
    if not uri.startswith(PREFIX):
        return None
    return find(fields.get("client_id", ""), uri, was_opened=came_from_form(fields))


def _ask_or_answer(
    request: HttpRequest,
    target: Target,
    asked: AuthorizationRequest,
    given: Given,
    choice: str,
    pushed: PushedRequest | None,
) -> HttpResponse:
    """Raises ProtocolError, which goes to the app."""
    user = signed_in(request)
    authentication = None if user is None else authentication_of(request, user)
    if needs_sign_in(asked, authentication, given) or _is_other_user(target.app, user, asked):
        if asked.is_silent:
            raise ProtocolError("login_required")
        return to_sign_in(given, asked, user=user, authentication=authentication)
    if user is None or authentication is None:
        raise ProtocolError("login_required")
    visit = Visit(target, asked, given, user, authentication, choice, pushed)
    _require_asked(visit)
    denial = _entry_denial(visit)
    if denial is not None:
        return _refuse(request, visit, denial)
    return _consented(request, visit)


def _consented(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Ask, or answer with a code. Raises ProtocolError."""
    target, asked = visit.target, visit.asked
    if visit.choice == DENY:
        raise ProtocolError("access_denied", "The user has not allowed it.")
    if visit.choice != ALLOW and _must_ask(visit):
        if asked.is_silent:
            raise ProtocolError("consent_required")
        return _consent_page(request, visit)
    after_form = bool(visit.choice) or came_from_form(visit.given)
    return answer(request, target, {"code": _code(visit)}, after_form=after_form)


def _code(visit: Visit) -> str:
    """See codes.issue_code()."""
    return codes.issue_code(
        app=visit.target.app,
        user=visit.user,
        redirect_uri=visit.target.redirect_uri,
        asked=visit.asked,
        authentication=visit.authentication,
        remember=visit.choice == ALLOW,
        pushed=visit.pushed,
    )


def _entry_denial(visit: Visit) -> DenialReason | None:
    return entry_denial(
        visit.target.app,
        visit.user,
        has_second_factor=visit.authentication.has_second_factor,
        ip=visit.authentication.ip,
    )


def _brought_again(visit: Visit) -> str:
    """What the form of a page brings again; with a mark that a pushed request was opened in time.

    A mark that is there stays: a sign-in after it is the one that was asked for.
    """
    if visit.pushed is None or came_from_form(visit.given):
        return urlencode(dict(visit.given))
    return urlencode(marked(visit.given))


def _must_ask(visit: Visit) -> bool:
    if visit.asked.prompts & {"consent", "select_account"}:
        return True
    app = visit.target.app
    return not app.is_trusted and not codes.has_consent(visit.user, app, visit.asked.told_scopes)


def _require_asked(visit: Visit) -> None:
    """Raise ProtocolError unless the user and how they signed in are as the app demands."""
    claims = visit.asked.claims
    if claims.subs and subject_of(visit.target.app, visit.user.pk) not in claims.subs:
        raise ProtocolError("login_required", "Another user is signed in.")
    reached = visit.authentication.has_second_factor
    accepted = {SINGLE_FACTOR, MULTI_FACTOR} if reached else {SINGLE_FACTOR}
    if claims.acrs and accepted.isdisjoint(claims.acrs):
        text = "The user has not signed in as strongly as acr asks."
        raise ProtocolError("unmet_authentication_requirements", text)


def _is_other_user(app: App, user: User | None, asked: AuthorizationRequest) -> bool:
    """Whether a silent request is about another user than the one who is signed in."""
    if not asked.is_silent or not asked.id_token_hint or user is None:
        return False
    return read_hint(asked.id_token_hint).get("sub") != subject_of(app, user.pk)


def _consent_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    back = f"{request.path}?{urlencode(marked(visit.given))}"
    context = {
        "app": visit.target.app,
        "labels": app_scopes.labels(visit.target.app, visit.asked.told_scopes),
        "host": visit.target.redirect_uri.partition("?")[0],
        "request_fields": _brought_again(visit),
        "other_account": f"{reverse('account_logout')}?{urlencode({'next': back})}",
        "is_question": not visit.target.app.is_trusted or "consent" in visit.asked.prompts,
    }
    with _language(visit.asked):
        return render(request, "oidc_provider/consent.html", context)


def _refuse(request: HttpRequest, visit: Visit, denial: DenialReason) -> HttpResponse:
    """Say why on a page, with a way back to the app. Raises ProtocolError for a silent request."""
    app = visit.target.app
    reference = ""
    if visit.choice != DENY:
        reference = codes.note_refusal(visit.user, app, denial.code, visit.authentication)
    if visit.asked.is_silent or visit.choice:
        raise ProtocolError("access_denied", "The user may not sign in to this app.")
    context = {
        "app": app,
        "reason": denial.message,
        "reference": reference,
        "request_fields": _brought_again(visit),
    }
    with _language(visit.asked):
        return render(request, "oidc_provider/refused.html", context, status=403)


def _language(asked: AuthorizationRequest) -> translation.override:
    """The first of the languages that the app asks for which we have, else that of the browser."""
    for tag in asked.ui_locales:
        try:
            return translation.override(translation.get_supported_language_variant(tag.lower()))
        except LookupError:
            continue
    return translation.override(translation.get_language())


def _fields(given: QueryDict) -> dict[str, str]:
    """The parameters that we know; the first of several, which are refused later."""
    if len(given.urlencode()) > MAX_QUERY:
        raise RequestUnusable(_("The request of the app is too long."))
    fields = {name: given.getlist(name)[0] for name in PARAMETERS if name in given}
    if has_null(fields):
        raise RequestUnusable(_("The request of the app contains a null character."))
    return fields


def _target(given: Given) -> Target:
    """The app, and where answers go. Raises RequestUnusable, which no redirect follows."""
    if not is_available():
        raise RequestUnusable(
            _("This server cannot sign people in to apps, because JWT_SECRET is set.")
        )
    client_id = given.get("client_id", "")
    app = sql.find(App, "client_id", client_id[:255])
    if app is None or not app.signs_people_in:
        raise RequestUnusable(_("No app has this client id. Ask whoever set the app up."))
    redirect_uri = given.get("redirect_uri", "")
    is_native = app.openid_kind == "native"
    if not is_registered(redirect_uri, app.redirect_uris, any_port=is_native):
        raise RequestUnusable(
            _("The app “%(name)s” asks to return to an address that is not registered for it. "
              "Nobody has been sent there. Ask whoever set the app up.") % {"name": app.name}
        )  # fmt: skip
    return Target(app, redirect_uri, response_mode_of(given), given.get("state", ""))


def _require_single(given: QueryDict) -> None:
    """Raise ProtocolError for a parameter that is sent twice (RFC 6749, section 3.1)."""
    for name, values in given.lists():
        if len(values) > 1:
            if name in ("client_id", "redirect_uri"):
                raise RepeatedParameter(name)
            raise ProtocolError("invalid_request", f"The parameter {name[:40]} is sent twice.")
