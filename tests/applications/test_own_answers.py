"""Programs that read their own account get the answer of Django, never past a change or an end."""

import base64
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.conf import LazySettings, settings
from django.db import connection
from django.test import Client, RequestFactory
from django.test.client import ClientHandler
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import BrowserSession, Group, Membership, User
from accounts.services.users import Profile, disable_user, edit_profile
from accounts.sessions.store import TOUCH_EVERY, SessionStore
from api.apikeys import quota
from api.apikeys.services import revoke_key
from api.kept_answers import keep_answer
from api.models import ApiKey, TokenFamily
from api.tokens import refresh_tokens, signing_keys
from applications.own_answers import PATH, OwnAnswers
from moderation.models import Ban
from tests.api.keys import in_days, made
from tests.api.tokens import family_of_access, sign_in

pytestmark = pytest.mark.django_db
MINUTE, COOKIE = timedelta(minutes=1), settings.SESSION_COOKIE_NAME


class Answer(NamedTuple):
    """Without the id of the request, which differs for each."""

    status: str
    headers: dict[str, str]
    body: bytes


class Site:
    """Django behind OwnAnswers, and beside it."""

    def __init__(self) -> None:
        self.count, self._handler = 0, ClientHandler()
        self._front = OwnAnswers(self._django)

    def _django(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.count += 1
        response = self._handler(environ)
        cookies = [("Set-Cookie", each.OutputString()) for each in response.cookies.values()]
        start(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
        return [response.content]

    def _ask(self, ask: Callable[..., Iterable[bytes]], more: dict[str, Any]) -> Answer:
        environ = RequestFactory().get(PATH).environ | {"HTTP_HOST": "localhost:8000", **more}
        environ.pop("HTTP_COOKIE", None)
        environ.update({name: text for name, text in more.items() if name == "HTTP_COOKIE"})
        started: list[Any] = []
        body = b"".join(ask(environ, lambda *said: started.extend(said)))
        headers = dict(started[1])
        assert len(headers.pop("X-Request-ID")) >= 8
        # Drawn for each browser without a cookie, and masked for each answer; and its time.
        headers.pop("X-CSRF-Token", None)
        headers.pop("Set-Cookie", None)
        return Answer(started[0], headers, body)

    def ask(self, **more: Any) -> Answer:
        """The answer of what stands in front of Django, perhaps without Django."""
        return self._ask(self._front, more)

    def plain(self, **more: Any) -> Answer:
        """The answer of Django itself."""
        return self._ask(self._django, more)

    def is_hot(self, **more: Any) -> bool:
        """Whether a request that was answered before is answered without Django and any query."""
        # The first saves when the key was used, which is a change.
        self.ask(**more)
        self.ask(**more)
        before = self.count
        with CaptureQueriesContext(connection) as queries:
            self.ask(**more)
        return self.count == before and not [
            each for each in queries.captured_queries if "PRAGMA" not in each["sql"]
        ]


@pytest.fixture
def site() -> Site:
    return Site()


def _basic(text: str) -> str:
    return f"Basic {base64.b64encode(f'me:{text}'.encode()).decode()}"


SENT: dict[str, Callable[[User], dict[str, Any]]] = {
    "key": lambda user: {"HTTP_X_API_KEY": made(user).text},
    "key as bearer": lambda user: {"HTTP_AUTHORIZATION": f"Bearer {made(user).text}"},
    "key as password": lambda user: {"HTTP_AUTHORIZATION": _basic(made(user).text)},
    "token": lambda user: {"HTTP_AUTHORIZATION": f"Bearer {sign_in(user)['access']}"},
}


@pytest.mark.parametrize("kind", SENT)
def test_the_second_answer_is_the_first_without_django(site: Site, viewer: User, kind: str) -> None:
    sent = SENT[kind](viewer)
    first = site.ask(**sent)

    assert first.status == "200 OK"
    assert first == site.plain(**sent)
    assert site.is_hot(**sent)
    assert site.ask(**sent) == first


def _more(**more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda sent: sent | more


# From a request whose answer is known to another one, which Django may answer otherwise.
OTHERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "nothing": lambda _sent: {},
    "another key": _more(HTTP_X_API_KEY="gth_" + "x" * 40),
    "an empty key": _more(HTTP_X_API_KEY=""),
    "an empty authorization": _more(HTTP_AUTHORIZATION=""),
    "another scheme": _more(HTTP_AUTHORIZATION="Digest x"),
    "a broken token": _more(HTTP_AUTHORIZATION="Bearer a.b.c"),
    "the key with more": lambda sent: {name: f"{text}x" for name, text in sent.items()},
    "two values": lambda sent: {name: f"{text}, {text}" for name, text in sent.items()},
    "a query": _more(QUERY_STRING="fields=id"),
    "a format": _more(QUERY_STRING="format=api"),
    "another type": _more(HTTP_ACCEPT="text/html"),
    "no type": _more(HTTP_ACCEPT=""),
    "a language": _more(HTTP_ACCEPT_LANGUAGE="de"),
    "another host": _more(HTTP_HOST="evil.example"),
    "no host": _more(HTTP_HOST=""),
    "another scheme of the proxy": _more(HTTP_X_FORWARDED_PROTO="https"),
    "another site": _more(HTTP_ORIGIN="https://evil.example"),
    "a session of nobody": _more(HTTP_COOKIE="gatehouse_session=x"),
    "a condition": _more(HTTP_IF_NONE_MATCH="*"),
    "a range": _more(HTTP_RANGE="bytes=0-1"),
    "a body": _more(CONTENT_LENGTH="2", CONTENT_TYPE="application/json"),
    "another type of body": _more(CONTENT_TYPE="text/xml"),
    "another address": _more(REMOTE_ADDR="203.0.113.9"),
    "a forwarded address": _more(HTTP_X_FORWARDED_FOR="203.0.113.9"),
    "a long header": _more(HTTP_ACCEPT_LANGUAGE="d" * 9000),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", ["key", "token"])
def test_another_request_gets_the_answer_of_django(
    site: Site, viewer: User, kind: str, other: str, settings: LazySettings
) -> None:
    settings.LIMITS = {**settings.LIMITS, "api-key": (1000, MINUTE)}
    sent = SENT[kind](viewer)
    assert site.is_hot(**sent)
    changed = OTHERS[other](sent)

    assert [site.ask(**changed) for _again in range(2)] == [site.plain(**changed)] * 2


def test_a_key_of_one_network_is_refused_from_another(site: Site, viewer: User) -> None:
    sent = {"HTTP_X_API_KEY": made(viewer, networks=["127.0.0.0/8"]).text}
    assert site.is_hot(**sent)

    refused = site.ask(**sent, REMOTE_ADDR="203.0.113.9")

    assert refused.status == "403 Forbidden"
    assert refused == site.plain(**sent, REMOTE_ADDR="203.0.113.9")
    assert site.ask(**sent).status == "200 OK"


def test_what_is_no_single_credential_is_answered_by_django(
    site: Site, viewer: User, settings: LazySettings
) -> None:
    key, token = SENT["key"](viewer), SENT["token"](viewer)

    assert not site.is_hot(**key, **token)
    assert not site.is_hot(**key, **SENT["key as bearer"](viewer))
    settings.REQUIRE_API_KEY_AND_TOKEN = True
    assert not site.is_hot(**key, **token)
    assert site.ask(**key).status == site.ask(**token).status == "401 Unauthorized"


def _end_family(user: User, _owner: User) -> None:
    family = TokenFamily.objects.get(user=user)
    refresh_tokens.end_family(actor=user, user=user, family_id=family.pk)


ENDS: dict[tuple[str, str], Callable[[User, User], object]] = {
    ("key", "revoked"): lambda user, _owner: revoke_key(actor=user, key=ApiKey.objects.get()),
    ("key", "disabled"): lambda user, owner: disable_user(actor=owner, user=user),
    ("key", "banned"): lambda user, _owner: Ban.objects.create(
        user=user, kind="manual", until=in_days(1), created_at=timezone.now()
    ),
    ("key", "deleted"): lambda user, _owner: User.objects.filter(pk=user.pk).delete(),
    ("token", "signed out"): _end_family,
    ("token", "disabled"): lambda user, owner: disable_user(actor=owner, user=user),
    ("token", "banned"): lambda user, _owner: Ban.objects.create(
        user=user, kind="manual", until=in_days(1), created_at=timezone.now()
    ),
    ("token", "its key is replaced"): lambda _user, owner: signing_keys.replace_all(actor=owner),
}


@pytest.mark.parametrize(("kind", "end"), ENDS)
def test_what_ends_is_refused_at_the_next_request(
    site: Site, viewer: User, owner: User, kind: str, end: str
) -> None:
    sent = SENT[kind](viewer)
    assert site.is_hot(**sent)

    ENDS[kind, end](viewer, owner)

    refused = site.ask(**sent)
    assert refused.status in ("401 Unauthorized", "403 Forbidden")
    assert refused == site.plain(**sent)


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_change_of_the_account_is_shown_at_the_next_request(
    site: Site, viewer: User, kind: str
) -> None:
    sent = SENT[kind](viewer)
    assert site.is_hot(**sent)

    edit_profile(actor=viewer, user=viewer, profile=Profile(name="Jo Doe"))
    group = Group.objects.create(name="finance")
    Membership.objects.create(group=group, user=viewer)

    assert b'"Jo Doe"' in site.ask(**sent).body
    assert b'["finance"]' in site.ask(**sent).body


def _with_group_until(user: User, until: Any) -> None:
    group = Group.objects.create(name="finance")
    Membership.objects.create(group=group, user=user, until=until)


CLOCK: dict[tuple[str, str], Callable[[User, Any], object]] = {
    ("key", "key"): lambda _user, end: ApiKey.objects.update(expires_at=end),
    ("key", "account"): lambda user, end: User.objects.filter(pk=user.pk).update(expires_at=end),
    ("key", "group"): _with_group_until,
    ("token", "family"): lambda _user, end: TokenFamily.objects.update(expires_at=end),
    ("token", "account"): lambda user, end: User.objects.filter(pk=user.pk).update(expires_at=end),
    ("token", "group"): _with_group_until,
}


@pytest.mark.parametrize(("kind", "what"), CLOCK)
def test_what_ends_by_itself_ends_the_answer(
    site: Site, viewer: User, kind: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = SENT[kind](viewer)
    end = timezone.now().replace(microsecond=0) + timedelta(seconds=3)
    CLOCK[kind, what](viewer, end)
    before = site.ask(**sent)
    assert site.is_hot(**sent)
    monkeypatch.setattr(timezone, "now", lambda: end)
    monkeypatch.setattr("applications.own_answers.time", end.timestamp)

    after = site.ask(**sent)

    assert before.status == "200 OK"
    assert after == site.plain(**sent)
    assert after != before


def test_the_end_of_a_token_ends_the_answer(site: Site, viewer: User) -> None:
    sent = SENT["token"](viewer)
    token = sent["HTTP_AUTHORIZATION"].partition(" ")[2]
    family = family_of_access(token)
    environ = RequestFactory().get(PATH).environ | sent

    site._django(environ, lambda *_said: None)

    assert environ["gatehouse.answer_holds_until"] <= family.expires_at.timestamp()
    assert "gatehouse.counted_key" not in environ


def test_each_answer_counts_against_the_quota_of_the_key(
    site: Site, viewer: User, settings: LazySettings
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 40, timedelta(hours=1)
    sent = SENT["key"](viewer)

    answers = [site.ask(**sent) for _each in range(42)]

    assert [each.status for each in answers] == ["200 OK"] * 40 + ["429 Too Many Requests"] * 2
    # The first, perhaps one after the counter was written, and those that were refused.
    assert site.count <= 5
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_the_last_use_of_a_key_is_as_young_as_without_the_answers(
    site: Site, viewer: User, at_time: Callable[[timedelta], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = SENT["key"](viewer)
    site.ask(**sent)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    now = at_time(timedelta(seconds=58))
    assert site.is_hot(**sent)
    assert ApiKey.objects.get().last_used_at == first
    now = at_time(timedelta(seconds=61))
    monkeypatch.setattr("applications.own_answers.time", now.timestamp)

    site.ask(**sent)

    assert ApiKey.objects.get().last_used_at >= now


def test_the_next_use_that_is_saved_is_a_minute_later(viewer: User) -> None:
    key, now = made(viewer).key, timezone.now()

    assert quota.next_note("of nobody", None, now) == now
    assert quota.is_due(str(key.pk), None, now)
    assert quota.next_note(str(key.pk), None, now) == now + quota.NOTE_EVERY
    assert quota.next_note(str(key.pk), now + MINUTE, now) == now + MINUTE + quota.NOTE_EVERY


def _pairs(browser: Client) -> str:
    return "; ".join(f"{name}={cookie.value}" for name, cookie in browser.cookies.items())


def test_a_browser_is_answered_again_until_its_session_ends_or_is_extended(
    site: Site, browser_of: Any, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browser_of(viewer)
    # The first response sets the cookie of the CSRF token, so it is for this request alone.
    without = {"HTTP_COOKIE": f"{COOKIE}={browser.cookies[COOKIE].value}"}
    browser.get(PATH)
    sent = {"HTTP_COOKIE": _pairs(browser)}
    first = site.ask(**sent)

    assert first.status == "200 OK"
    assert site.is_hot(**sent)
    assert not site.is_hot(**without)
    assert site.ask(**sent) == site.plain(**sent) == first
    key = SENT["key"](viewer)
    assert not site.is_hot(**sent, **key)
    store = SessionStore(browser.cookies[COOKIE].value)
    store.load()
    assert store.next_change() == store.last_seen_at + TOUCH_EVERY
    BrowserSession.objects.update(last_seen_at=timezone.now() - TOUCH_EVERY + MINUTE / 30)
    site.ask(**sent)
    monkeypatch.setattr("applications.own_answers.time", (timezone.now() + MINUTE / 20).timestamp)
    before = site.count
    site.ask(**sent)
    assert site.count == before + 1


def test_a_session_that_has_ended_is_refused_at_the_next_request(
    site: Site, browser_of: Any, viewer: User
) -> None:
    browser = browser_of(viewer)
    browser.get(PATH)
    sent = {"HTTP_COOKIE": _pairs(browser)}
    assert site.is_hot(**sent)

    BrowserSession.objects.all().delete()

    assert site.ask(**sent).status == "401 Unauthorized"
    assert site.ask(**sent) == site.plain(**sent)


def test_an_answer_that_sets_a_cookie_is_for_its_request_alone(site: Site) -> None:
    def django(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        keep_answer(environ, in_days(1))
        site.count += 1
        start("200 OK", [("X-Request-ID", "12345678"), ("Set-Cookie", "a=b")])
        return [b"{}"]

    front = OwnAnswers(django)
    for _again in range(2):
        front(RequestFactory().get(PATH).environ | {"HTTP_COOKIE": "b=c"}, lambda *_said: None)

    assert site.count == 2
