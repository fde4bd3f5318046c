"""Remote-Token: what an app can verify, and that Gatehouse never accepts it."""

import json
import time
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone
from jwt.algorithms import get_default_algorithms

from accounts.models import BrowserSession, Group, Membership, User
from accounts.roles import Role
from api.models import TokenFamily
from api.tokens import refresh_tokens, signing_keys
from core.invalidation.data_version import current_data_version
from devtools.servers.processes import ROOT
from forward_auth.checker import Checker
from forward_auth.services.tokens import origin_of, wants_token
from forward_auth.wsgi import FastPath
from tests.api.keys import made
from tests.forward_auth.test_wsgi import Answer, _ask, _environ, _without_answers

pytestmark = pytest.mark.django_db
APP = "https://app.example.com"


@pytest.fixture
def front() -> FastPath:
    return FastPath(_without_answers, Checker(current_data_version))


def _passed(
    front: FastPath, key: str, url: str = f"{APP}/board?x=1", query: str = "token=1"
) -> Answer:
    environ = _environ("/auth/check", HTTP_X_API_KEY=key, QUERY_STRING=query,
                       HTTP_X_ORIGINAL_URL=url, HTTP_X_ORIGINAL_METHOD="GET")  # fmt: skip
    answer = _ask(front, environ)
    assert answer[0] == "204 No Content"
    return answer


def _token(front: FastPath, key: str, **more: str) -> str:
    return _passed(front, key, **more)[1]["Remote-Token"]


def _verified(token: str, audience: str) -> dict[str, Any]:
    """As docs/forward-auth-tokens.md has it, with the keys of the key set."""
    keys = {
        key["kid"]: key
        for key in json.loads(Client().get("/.well-known/jwks.json").content)["keys"]
    }
    header = jwt.get_unverified_header(token)
    assert (header["typ"], sorted(header)) == ("fa+jwt", ["alg", "kid", "typ"])
    key = get_default_algorithms()[header["alg"]].from_jwk(keys[header["kid"]])
    found: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], audience=audience, issuer="http://localhost:8000"
    )
    return found


def test_an_app_can_verify_the_user_of_a_request(front: FastPath, viewer: User) -> None:
    Membership.objects.bulk_create(
        Membership(user=viewer, group=Group.objects.create(name=name)) for name in ("staff", "lab")
    )
    issued = made(viewer)
    claims = _verified(_token(front, issued.text), APP)

    assert claims["groups"] == ["lab", "staff"]
    assert claims["exp"] - claims["iat"] == 60
    assert abs(claims["iat"] - time.time()) < 5
    assert {name: claims[name] for name in ("sub", "email", "name", "role", "sid")} == {
        "sub": str(viewer.pk),
        "email": viewer.email,
        "name": viewer.name,
        "role": "viewer",
        "sid": issued.key.pk,
    }


def test_the_documented_program_verifies_it(
    front: FastPath, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "forward-auth-tokens.md").read_text()
    monkeypatch.setenv("GATEHOUSE_URL", "http://localhost:8000")
    monkeypatch.setenv("APP_URL", APP)
    key_set = Client().get("/.well-known/jwks.json").json()
    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", lambda _client: key_set)
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)

    text = made(viewer).text
    assert names["who_asks"](_token(front, text))["email"] == viewer.email
    with pytest.raises(jwt.InvalidAudienceError):
        names["who_asks"](_token(front, text, url="https://other.example.com/"))
    with pytest.raises(jwt.InvalidTokenError):
        names["who_asks"](refresh_tokens.start_by_password(viewer, timezone.now()).access)


def test_a_token_is_valid_for_one_app(front: FastPath, viewer: User) -> None:
    token = _token(front, made(viewer).text)

    with pytest.raises(jwt.InvalidAudienceError):
        _verified(token, "https://other.example.com")


@pytest.mark.parametrize("kind", ["token", "session", "key"])
def test_fast_path_and_django_issue_equal_tokens(
    front: FastPath, viewer: User, browser_of: Any, kind: str
) -> None:
    if kind == "session":
        cookie = browser_of(viewer).cookies["gatehouse_session"].value
        offer, sid = (
            ("Cookie", f"gatehouse_session={cookie}"),
            BrowserSession.objects.get().public_id,
        )
    elif kind == "key":
        issued = made(viewer)
        offer, sid = ("X-API-Key", issued.text), issued.key.pk
    else:
        family = refresh_tokens.start_by_password(viewer, timezone.now())
        offer, sid = ("Authorization", f"Bearer {family.access}"), TokenFamily.objects.get().pk
    headers = {offer[0]: offer[1], "x-original-url": f"{APP}/", "x-original-method": "GET"}
    long = Client(headers=headers).get("/auth/check?token=1").headers["Remote-Token"]
    environ = _environ("/auth/check", QUERY_STRING="token=1", HTTP_X_ORIGINAL_URL=f"{APP}/",
                       HTTP_X_ORIGINAL_METHOD="GET",
                       **{f"HTTP_{offer[0].upper().replace('-', '_')}": offer[1]})  # fmt: skip
    short = _ask(front, environ)[1]["Remote-Token"]
    said = [_verified(token, APP) for token in (long, short)]
    for claims in said:
        assert claims.pop("jti")
        assert claims.pop("exp") - claims.pop("iat") == 60

    assert said[0] == said[1]
    assert said[0]["sid"] == str(sid)


def test_the_api_never_accepts_it(front: FastPath, owner: User) -> None:
    """Not even when the app asked for has the API's own address."""
    text = made(owner).text
    for url in (f"{APP}/", "http://localhost:8000/api/v1/me"):
        token = _token(front, text, url=url)
        answer = Client(headers={"authorization": f"Bearer {token}"}).get("/api/v1/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_forward_auth_never_accepts_it(front: FastPath, owner: User) -> None:
    token = _token(front, made(owner).text)
    answer = Client(headers={"authorization": f"Bearer {token}"}).get("/auth/check")

    assert answer.status_code == 401


def test_it_is_cached_for_twenty_seconds_until_a_change(front: FastPath, viewer: User) -> None:
    text = made(viewer).text
    _token(front, text)  # makes the first signing key, which is a change
    first = [_token(front, text) for _again in range(3)]
    User.objects.filter(pk=viewer.pk).update(role=Role.EDITOR)
    changed = _token(front, text)
    front.checker.tokens.clock = lambda: time.time() + 21
    later = _token(front, text)

    assert len(set(first)) == 1
    assert len({first[0], changed, later}) == 3
    assert _verified(changed, APP)["role"] == "editor"


def test_a_revoked_key_signs_no_more_tokens(front: FastPath, viewer: User, owner: User) -> None:
    text = made(viewer).text
    before = jwt.get_unverified_header(_token(front, text))["kid"]
    signing_keys.replace_all(actor=owner)

    assert jwt.get_unverified_header(_token(front, text))["kid"] != before


@pytest.mark.parametrize("query", ["", "token=0", "token", "token=11", "tokens=1", "x=token"])
def test_no_token_is_issued_without_the_setting(front: FastPath, viewer: User, query: str) -> None:
    assert "Remote-Token" not in _passed(front, made(viewer).text, query=query)[1]
    assert not wants_token(query)


@pytest.mark.parametrize("url", ["/board", "ftp://app.example.com/", "https:///x"])
def test_without_a_known_app_the_header_is_empty(front: FastPath, viewer: User, url: str) -> None:
    assert _token(front, made(viewer).text, url=url) == ""


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example.com/x?y=1", "https://a.example.com"),
        ("https://a.example.com:443/", "https://a.example.com"),
        ("http://a.example.com:443/", "http://a.example.com:443"),
        ("https://a.example.com:8443/", "https://a.example.com:8443"),
        ("", ""),
        ("//a.example.com/x", ""),
        ("https:///x", ""),
    ],
)
def test_the_audience_is_the_normalized_origin(url: str, origin: str) -> None:
    assert origin_of(url) == origin
