"""In front of Django's middleware, apps and browsers are answered as Django answers them."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.conf import settings as configured
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import BrowserSession, User
from accounts.sessions.store import SIGNED_IN_AT, SessionStore
from applications.models import App
from audit.models import AuditEvent
from moderation.models import Ban
from oidc_provider.models import AuthorizationCode, Consent, Grant
from oidc_provider.views import fast_path
from oidc_provider.views.fast_path import AUTHORIZE, TOKEN, FastEndpoints
from tests.oidc_provider.relying_party import (
    CALLBACK,
    VERIFIER,
    RelyingParty,
    make_client,
)

pytestmark = pytest.mark.django_db
HOST = "localhost:8000"
CONSENT = "openid profile email"
Change = Callable[["Scene"], Any]
# The state that a rolled back request leaves to the next one.
ROWS = {
    Grant: ("user_id", "app_id", "scope", "generation", "ended_at", "end_reason", "session_id"),
    AuthorizationCode: ("user_id", "app_id", "scope", "nonce", "used_at", "session_id", "claims"),
    BrowserSession: ("session_key", "user_id"),
    Consent: ("user_id", "app_id", "scope"),
}
AUDITED = ("action", "result", "actor_id", "target_id", "channel", "ip", "detail")


@dataclass
class Scene:
    """A user in a browser, and apps that they know. codes, tokens: of the app with a secret."""

    user: User
    cookie: str
    web: RelyingParty
    spa: RelyingParty
    code: str
    spa_code: str
    tokens: dict[str, Any]
    settings: Any

    @property
    def app(self) -> App:
        return self.web.app

    @property
    def code_form(self) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "code": self.code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }

    @property
    def basic(self) -> str:
        pair = f"{self.app.client_id}:{self.web.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def edit_app(self, **values: Any) -> None:
        App.objects.filter(pk=self.app.pk).update(**values)

    def edit_user(self, **values: Any) -> None:
        User.objects.filter(pk=self.user.pk).update(**values)

    def edit_session(self, **values: Any) -> None:
        assert BrowserSession.objects.filter(user=self.user).update(**values) == 1

    def lose_session(self) -> None:
        """As after a sign-out here."""
        self.edit_session(public_id="00000000-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class Case:
    """A request in a scene. fields: changes of the form or the query; None takes one out.

    is_fast: it does not reach Django. more: text behind query or body. change: of the scene.
    """

    name: str
    is_fast: bool = False
    fields: Mapping[str, str | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: str = ""
    method: str = ""
    of: str = ""

    def __str__(self) -> str:
        return self.name


def _age_session(scene: Scene, **age: int) -> None:
    """The sign-in in the session's content is so old."""
    row = BrowserSession.objects.get(user=scene.user)
    store = SessionStore.read_only(row)
    store[SIGNED_IN_AT] = (timezone.now() - timedelta(**age)).isoformat()
    scene.edit_session(session_data=store.encode(dict(store.items())))


def _ban(scene: Scene) -> None:
    Ban.objects.create(user=scene.user, kind=Ban.Kind.MANUAL, reason="noise", until=None)


def _app(**values: Any) -> Change:
    return lambda scene: scene.edit_app(**values)


def _user(**values: Any) -> Change:
    return lambda scene: scene.edit_user(**values)


def _session(**ages: timedelta) -> Change:
    return lambda scene: scene.edit_session(
        **{name: timezone.now() + age for name, age in ages.items()}
    )


# What is wrong with a user or an app, at both endpoints.
REFUSALS: list[tuple[str, Change]] = [
    ("a disabled user", _user(is_active=False)),
    ("a user whose access has ended", lambda w: w.edit_user(expires_at=timezone.now())),
    ("a banned user", _ban),
    ("a user without a verified address", _user(email_verified_at=None)),
    ("a user without a role", _user(role="none")),
    ("a role that has ended", lambda w: w.edit_user(
        role="viewer", role_after="none", role_until=timezone.now())),
    ("an app for admins", _app(openid_role="admin")),
    ("an app for a group", _app(openid_group_ids=["00000000-0000-4000-8000-000000000000"])),
    ("an app for others", _app(openid_people=["00000000-0000-4000-8000-000000000000"])),
    ("an app for another network", _app(openid_networks=["203.0.113.0/24"])),
    ("an app that is never open", _app(openid_hours=["mon 00:00-00:01"])),
    ("an app for two factors", _app(openid_second_factor=True)),
    ("an app without OpenID Connect", _app(openid_kind="")),
    ("revoked credentials", lambda w: w.edit_user(
        credentials_valid_from=timezone.now() + timedelta(seconds=5))),
]  # fmt: skip
A = Case
ASKED = [
    A("a trusted app", is_fast=True),
    A("without a page", is_fast=True, fields={"prompt": "none"}),
    A("without state", is_fast=True, fields={"state": None}),
    A("an empty nonce", is_fast=True, fields={"nonce": ""}),
    A("signs in the url", is_fast=True, fields={"state": "a&b=c #ü+%20"}),
    A("in German", is_fast=True, headers={"HTTP_ACCEPT_LANGUAGE": "de"}),
    A("by a language cookie", is_fast=True, headers={"HTTP_COOKIE": "gatehouse_language=de"}),
    A("over https", is_fast=True, headers={"HTTP_X_FORWARDED_PROTO": "https"}),
    A("hints for pages", is_fast=True, fields={"login_hint": "x", "acr_values": "y"}),
    A("a parameter of nobody", is_fast=True, fields={"foo": "bar"}),
    A("unknown scopes", is_fast=True, fields={"scope": "openid foo email"}),
    A("offline", is_fast=True, fields={"scope": "openid offline_access"}),
    A("pairwise ids", is_fast=True, change=_app(subject_type="pairwise")),
    A("remembered consent", is_fast=True, change=_app(is_trusted=False), fields={"scope": CONSENT}),
    A("a request id of the proxy", is_fast=True, headers={"HTTP_X_REQUEST_ID": "mine-12345"}),
    A("a forwarded client", is_fast=True, settings={"TRUST_PROXY": 1},
      headers={"HTTP_X_FORWARDED_FOR": "203.0.113.9"}),
    A("more than was allowed", change=_app(is_trusted=False)),
    A("no session", headers={"HTTP_COOKIE": ""}),
    A("an unknown session", headers={"HTTP_COOKIE": "gatehouse_session=unknown"}),
    A("a session that is over", change=_session(expire_date=timedelta(0))),
    A("a session to touch", change=_session(last_seen_at=-timedelta(minutes=6))),
    A("a sign-in long ago", change=lambda w: _age_session(w, days=400)),
    A("another password", change=_user(password="!")),
    A("an older secret", settings={"SECRET_KEY": "another one", "SECRET_KEY_FALLBACKS": []}),
    A("another backend", settings={"AUTHENTICATION_BACKENDS": ["mine.Backend"]}),
    A("pushed requests only", change=_app(requires_pushed_requests=True)),
    A("no public keys", settings={"JWT_SECRET": "s" * 40}),
    A("a cookie for apps", settings={"FORWARD_AUTH_DOMAIN": "example.com"}),
    A("a foreign host", headers={"HTTP_HOST": "evil.example"}),
    A("a page of another site", headers={"HTTP_ORIGIN": "https://evil.example"}),
    A("another address", fields={"redirect_uri": "https://evil.example/"}),
    A("an unknown app", fields={"client_id": "nobody"}),
    A("no app", fields={"client_id": None}),
    A("no response type", fields={"response_type": None}),
    A("a token by the browser", fields={"response_type": "token"}),
    A("a bad scope", fields={"scope": "profile"}),
    A("a bad challenge", fields={"code_challenge": "short"}),
    A("a plain challenge", fields={"code_challenge_method": "plain"}),
    A("two prompts", fields={"prompt": "none login"}),
    A("an unknown prompt", fields={"prompt": "dance"}),
    A("to sign in again", fields={"prompt": "login"}),
    A("to be asked", fields={"prompt": "consent"}),
    A("a fresh sign-in", fields={"max_age": "0"}),
    A("a long state", fields={"state": "s" * 2_700}),
    A("a form", fields={"response_mode": "form_post"}),
    A("an unknown mode", fields={"response_mode": "fragment"}),
    A("single claims", fields={"claims": '{"userinfo": {"email": null}}'}),
    A("a hint", fields={"id_token_hint": "x.y.z", "prompt": "none"}),
    A("a request object", fields={"request": "x.y.z"}),
    A("a pushed request", fields={"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
    A("a null character", fields={"state": "a\0b"}),
    A("a state twice", more="&state=other"),
    A("an app twice", more="&client_id=other"),
    A("an unknown parameter twice", more="&foo=1&foo=2"),
    A("bytes that are no text", more="&foo=\xff"),
    A("by POST", method="POST"),
    *(A(name, change=change) for name, change in REFUSALS),
]  # fmt: skip
CODE = [
    A("a code by Basic", is_fast=True),
    A("a code by the body", is_fast=True, headers={"HTTP_AUTHORIZATION": ""}, of="body"),
    A("of an app without secret", is_fast=True, headers={"HTTP_AUTHORIZATION": ""}, of="spa"),
    A("a wrong verifier", is_fast=True, fields={"code_verifier": "w" * 43}),
    A("no verifier", is_fast=True, fields={"code_verifier": None}),
    A("another address", is_fast=True, fields={"redirect_uri": "https://evil.example/"}),
    A("no address", is_fast=True, fields={"redirect_uri": None}),
    A("no code", is_fast=True, fields={"code": None}),
    A("an unknown code", is_fast=True, fields={"code": "unknown"}),
    A("a code of another app", is_fast=True, of="other code"),
    A("a code that is over", is_fast=True,
      change=lambda w: AuthorizationCode.objects.update(expires_at=timezone.now())),
    A("a code again", is_fast=True, change=lambda w: w.web.redeem(w.code)),
    A("after the session", is_fast=True, change=Scene.lose_session),
    A("in German", is_fast=True, headers={"HTTP_ACCEPT_LANGUAGE": "de"}),
    A("a wrong secret", headers={"HTTP_AUTHORIZATION": "Basic YTpi"}),
    A("no Basic", headers={"HTTP_AUTHORIZATION": "Bearer x"}),
    A("two secrets", fields={"client_secret": "x"}),
    A("two apps", fields={"client_id": "x"}),
    A("an assertion", fields={"client_assertion": "x", "client_assertion_type": "y"}),
    A("no proof", headers={"HTTP_AUTHORIZATION": ""}),
    A("no grant type", fields={"grant_type": None}),
    A("another grant type", fields={"grant_type": "password"}),
    A("a program's grant type", fields={"grant_type": "client_credentials"}),
    A("a cookie", headers={"HTTP_COOKIE": "gatehouse_session=x"}),
    A("a page of another site", headers={"HTTP_ORIGIN": "https://app.example"}),
    A("JSON", headers={"CONTENT_TYPE": "application/json"}),
    A("a query", headers={"QUERY_STRING": "code=x"}),
    A("a foreign host", headers={"HTTP_HOST": "evil.example"}),
    A("a code twice", more="&code=other"),
    A("an unknown field twice", more="&foo=1&foo=2"),
    A("a null character", more="&foo=%00"),
    A("bytes that are no text", more="&foo=\xff"),
    A("a long body", more="&foo=" + "x" * 9_000),
    A("by GET", method="GET"),
    *(A(name, is_fast="OpenID" not in name, change=change) for name, change in REFUSALS),
]  # fmt: skip
REFRESH = [
    A("a refresh token", is_fast=True),
    A("less scope", is_fast=True, fields={"scope": "openid"}),
    A("more scope", is_fast=True, fields={"scope": "openid offline_access"}),
    A("no token", is_fast=True, fields={"refresh_token": None}),
    A("no token of ours", is_fast=True, fields={"refresh_token": "gtr_x"}),
    A("an access token", is_fast=True, of="access_token"),
    A("of another app", is_fast=True, of="other app"),
    A("a token once used", is_fast=True,
      change=lambda w: w.web.refresh(w.tokens["refresh_token"])),
    A("a token used long ago", is_fast=True, change=lambda w: w.web.refresh(
        w.web.refresh(w.tokens["refresh_token"]).json()["refresh_token"])),
    A("of an ended grant", is_fast=True,
      change=lambda w: w.web.revoke(w.tokens["refresh_token"])),
    A("after the session", is_fast=True, change=Scene.lose_session),
    *(A(name, is_fast="OpenID" not in name, change=change) for name, change in REFUSALS),
]  # fmt: skip


class Both:
    """Django alone, and the fast path in front of it. seen: how many requests Django had to see."""

    def __init__(self) -> None:
        self.seen = 0
        self._full = get_wsgi_application()
        self._fast = FastEndpoints(self._django)

    def _django(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.seen += 1
        return self._full(environ, start)

    def full(self, environ: dict[str, Any]) -> tuple[Any, ...]:
        return _undone(self._full, environ)

    def learn(self, environ: dict[str, Any]) -> None:
        """Let the fast path learn of a usual request."""
        self.fast(environ)
        self.seen = 0

    def fast(self, environ: dict[str, Any]) -> tuple[Any, ...]:
        return _undone(self._fast, environ)


@pytest.fixture
def scene(
    viewer: User,
    owner: User,
    browser: Client,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    web = RelyingParty(make_client("web"), owner)
    spa = RelyingParty(make_client("spa"))
    Consent.objects.create(user=viewer, app=web.app, scope=CONSENT, given_at=timezone.now())
    tokens, code = web.sign_in(browser), web.code(browser)
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    made = Scene(viewer, session, web, spa, code, spa.code(browser), tokens, settings)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    return made


def test_browsers_are_answered_as_django_answers_them(scene: Scene) -> None:
    usual = _environ(AUTHORIZE, "GET", scene.web.parameters(), cookie=scene.cookie)
    for case in ASKED:
        sent = scene.web.parameters(**case.fields)
        method = case.method or "GET"
        environ = _environ(AUTHORIZE, method, sent, more=case.more, cookie=scene.cookie)
        _compare(scene, case, usual, environ)


def test_codes_are_redeemed_as_django_redeems_them(scene: Scene) -> None:
    usual = _token_request(scene, Case("usual"), scene.code_form)
    for case in CODE:
        form = scene.code_form
        if case.of == "body":
            form |= {"client_id": scene.app.client_id, "client_secret": scene.web.secret}
        if case.of == "spa":
            form |= {"client_id": scene.spa.app.client_id, "code": scene.spa_code}
        if case.of == "other code":
            form["code"] = scene.spa_code
        _compare(scene, case, usual, _token_request(scene, case, form))


def test_tokens_are_refreshed_as_django_refreshes_them(scene: Scene) -> None:
    usual = _token_request(scene, Case("usual"), scene.code_form)
    of_other = scene.spa.redeem(scene.spa_code).json()["refresh_token"]
    for case in REFRESH:
        token = scene.tokens.get(case.of, of_other if case.of else scene.tokens["refresh_token"])
        form = {"grant_type": "refresh_token", "refresh_token": token}
        _compare(scene, case, usual, _token_request(scene, case, form))


@pytest.mark.parametrize("path", [AUTHORIZE, TOKEN])
def test_an_unexpected_error_is_what_django_makes_of_it(
    scene: Scene, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_of_service: Any, **_more: Any) -> Any:
        raise RuntimeError("a test")

    environ = _with_headers(_token_request(scene, Case("usual"), scene.code_form), {})
    if path == AUTHORIZE:
        environ = _environ(AUTHORIZE, "GET", scene.web.parameters(), cookie=scene.cookie)
    both = Both()
    both.learn(environ)
    monkeypatch.setattr("oidc_provider.services.codes.issue_code", broken)
    monkeypatch.setattr("oidc_provider.services.codes.redeem", broken)

    full, fast = both.full(environ), both.fast(environ)

    assert full[0].startswith("500 ")
    assert (fast[0], fast[2], fast[3:]) == (full[0], full[2], full[3:])
    assert both.seen == 0


def test_paths_and_middleware_are_those_of_the_site() -> None:
    assert (
        reverse("oidc_provider:authorize"),
        reverse("oidc_provider:token"),
    ) == (AUTHORIZE, TOKEN)
    assert tuple(configured.MIDDLEWARE) == fast_path.MIDDLEWARE


def test_with_middleware_of_a_team_django_answers_everything(scene: Scene) -> None:
    scene.settings.MIDDLEWARE = [*configured.MIDDLEWARE, "mine.Middleware"]
    asked = []

    def django(environ: dict[str, Any], _start: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        return []

    site = FastEndpoints(django)
    for _again in range(2):
        site({"REQUEST_METHOD": "POST", "PATH_INFO": TOKEN}, None)
    assert asked == [TOKEN, TOKEN]


def test_headers_are_learned_again_after_a_while(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = _environ(AUTHORIZE, "GET", scene.web.parameters(), cookie=scene.cookie)
    both = Both()
    both.learn(environ)
    both.fast(environ)
    assert both.seen == 0
    clock = fast_path.time.monotonic() + fast_path.LEARNED_SECONDS
    monkeypatch.setattr(fast_path.time, "monotonic", lambda: clock)
    both.fast(environ)
    assert both.seen == 1


def _token_request(scene: Scene, case: Case, form: dict[str, str]) -> dict[str, Any]:
    sent = {name: value for name, value in {**form, **case.fields}.items() if value is not None}
    environ = _environ(TOKEN, case.method or "POST", sent, more=case.more)
    return environ | {"HTTP_AUTHORIZATION": scene.basic}


def _environ(
    path: str, method: str, fields: Mapping[str, str], *, more: str = "", cookie: str = ""
) -> dict[str, Any]:
    """As the server makes it."""
    text = (urlencode(fields) + more).encode("latin-1")
    environ: dict[str, Any] = RequestFactory().generic(method, path).environ
    environ |= {"HTTP_HOST": HOST, "HTTP_USER_AGENT": "Mozilla/5.0 (X11) Firefox/140.0"}
    environ["HTTP_COOKIE"] = f"gatehouse_session={cookie}" if cookie else ""
    if method == "POST":
        environ |= {"CONTENT_TYPE": fast_path.FORM, "CONTENT_LENGTH": str(len(text))}
    else:
        environ["QUERY_STRING"] = text.decode("latin-1")
    environ["gatehouse.test.body"] = text if method == "POST" else b""
    return environ


def _with_headers(environ: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """An empty header is none; a cookie of a language is one more."""
    sent = {**environ, **headers}
    if "language" in headers.get("HTTP_COOKIE", ""):
        sent["HTTP_COOKIE"] = f"{environ['HTTP_COOKIE']}; {headers['HTTP_COOKIE']}"
    return {
        name: value for name, value in sent.items() if value != "" or not name.startswith("HTTP_")
    }


def _compare(scene: Scene, case: Case, usual: dict[str, Any], environ: dict[str, Any]) -> None:
    sent = _with_headers(environ, case.headers)
    about_answers = {
        name: value for name, value in case.headers.items() if name == "HTTP_ACCEPT_LANGUAGE"
        or name.startswith("HTTP_X_") or "language" in value
    }  # fmt: skip
    with override_settings(**case.settings), transaction.atomic():
        both = Both()
        both.learn(_with_headers(usual, about_answers))
        if case.change is not None:
            case.change(scene)
        full, fast = both.full(sent), both.fast(sent)
        transaction.set_rollback(True)

    assert (case.name, *fast) == (case.name, *full)
    assert (case.name, both.seen) == (case.name, 0 if case.is_fast else 1)


def _undone(site: Any, environ: dict[str, Any]) -> tuple[Any, ...]:
    """(status, headers, body, audit rows, rows) of a request that is rolled back afterwards."""
    last = AuditEvent.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    started: list[Any] = []
    with transaction.atomic():
        given = {**environ, "wsgi.input": BytesIO(environ["gatehouse.test.body"])}
        response = site(given, lambda *arguments: started.extend(arguments))
        body = b"".join(response)
        getattr(response, "close", int)()
        status, headers = started
        events = [*AuditEvent.objects.filter(seq__gt=last).order_by("seq").values_list(*AUDITED)]
        rows = {
            model.__name__: sorted(map(repr, model.objects.values_list(*names)))
            for model, names in ROWS.items()
        }
        transaction.set_rollback(True)
    return status, _told(headers, environ), _content(body), events, rows


def _told(headers: list[tuple[str, str]], environ: dict[str, Any]) -> dict[str, str]:
    """Headers, in any order; what is random is only there."""
    found = dict(headers)
    assert len(found) == len(headers)
    if "HTTP_X_REQUEST_ID" not in environ:
        assert len(found.pop("X-Request-ID")) == 16
    if "Location" in found:
        parts = urlsplit(found["Location"])
        query = [
            (name, "" if name in ("code", "gatehouse_step", "next") else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        found["Location"] = parts._replace(query=urlencode(query)).geturl()
    if "Set-Cookie" in found:
        found["Set-Cookie"] = found["Set-Cookie"].partition("=")[0]
    # Of a page, it says how long random values are.
    found.pop("Content-Length", None)
    return found


def _content(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except ValueError:
        return len(body) > 0
    for name in ("access_token", "refresh_token"):
        if name in found:
            kind, _grant, number, mask, mac = found[name].split("_", 4)
            found[name] = (kind, number, mask, len(mac))
    if "id_token" in found:
        head, claims, _signature = found["id_token"].split(".")
        read = json.loads(base64.urlsafe_b64decode(claims + "=="))
        found["id_token"] = head, read | {"at_hash": len(read["at_hash"])}
    return found
