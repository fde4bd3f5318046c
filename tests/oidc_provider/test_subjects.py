"""Pairwise subjects: OpenID Connect Core, section 8. No app can compare people with another one."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.test import Client

from accounts.models import User
from applications.models import PAIRWISE, App
from oidc_provider.models import Grant
from oidc_provider.services import logout_notices
from oidc_provider.subjects import session_of, subject_of
from oidc_provider.views.metadata import metadata
from tests.oidc_provider.relying_party import RelyingParty, answer_of, make_client

pytestmark = pytest.mark.django_db
FRONT = "https://wiki.example.com/front"


def claims_in(tokens: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    return found


@pytest.fixture
def one(owner: User) -> RelyingParty:
    """A web app with pairwise subjects, which is told of sign-outs."""
    return RelyingParty(
        make_client("web", subject_type=PAIRWISE, frontchannel_logout_uri=FRONT), owner
    )


@pytest.fixture
def other(owner: User) -> RelyingParty:
    """Another one, with all else alike."""
    return RelyingParty(
        make_client("web", subject_type=PAIRWISE, frontchannel_logout_uri=f"{FRONT}2"), owner
    )


def test_whatever_an_app_is_told_names_the_same_subject(
    one: RelyingParty, browser: Client, viewer: User, settings: Any
) -> None:
    """ID tokens, userinfo, introspection, logout tokens and frames; nothing has the real id."""
    tokens = one.sign_in(browser)
    claims = claims_in(tokens)
    sub, sid = claims["sub"], claims["sid"]
    assert (len(sub), len(sid)) == (43, 43)
    assert sub not in (str(viewer.pk), sid)
    assert one.userinfo(tokens["access_token"]).json()["sub"] == sub
    again = one.refresh(tokens["refresh_token"]).json()
    for token in (again["access_token"], again["refresh_token"]):
        told = one.introspect(token)
        assert (told["sub"], told["sid"]) == (sub, sid)
        assert str(viewer.pk) not in json.dumps(told)
    assert claims_in(again)["sub"] == sub
    # A later sign-in is the same person, whatever signs tokens by then.
    settings.JWT_REFRESH_SECRET = "another secret of 32 characters!"
    assert claims_in(one.sign_in(browser))["sub"] == sub

    page = browser.post("/sign-out")
    frames = browser.get(page["Location"]).content.decode()
    assert f"sid={sid}" in frames
    real = Grant.objects.filter(app=one.app).values_list("sid", flat=True)[0]
    assert str(real) not in frames


def test_the_subject_of_one_app_is_never_that_of_another(
    one: RelyingParty, other: RelyingParty, party: RelyingParty, browser: Client, viewer: User
) -> None:
    """Not by an app that asks for it, nor by one that brings the ID token of another app."""
    first, second = one.sign_in(browser), other.sign_in(browser)
    public = party.sign_in(browser)
    for name in ("sub", "sid"):
        assert len({claims_in(each)[name] for each in (first, second, public)}) == 3
    assert claims_in(public)["sub"] == str(viewer.pk)

    def silently(app: RelyingParty, **asked: str) -> str:
        answer = answer_of(app.authorize(browser, prompt="none", **asked))
        return answer.get("error", "code" in answer and "code")

    def naming(value: str) -> str:
        return json.dumps({"id_token": {"sub": {"value": value}}})

    own = claims_in(first)["sub"]
    assert silently(one, id_token_hint=first["id_token"]) == "code"
    assert silently(one, claims=naming(own)) == "code"
    for wrong in (second, public):
        assert silently(one, id_token_hint=wrong["id_token"]) == "login_required"
        assert silently(one, claims=naming(claims_in(wrong)["sub"])) == "login_required"
    # An app cannot ask who of its users has an id of another app.
    assert silently(party, claims=naming(own)) == "login_required"
    # Nor are two people one.
    assert subject_of(one.app, viewer.pk) != subject_of(one.app, one.app.pk)
    assert subject_of(one.app, viewer.pk) != session_of(one.app, viewer.pk)


def test_a_logout_token_names_the_subject_of_the_app(
    one: RelyingParty, browser: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    App.objects.filter(pk=one.app.pk).update(backchannel_logout_uri="https://wiki.example.com/out")
    claims = claims_in(one.sign_in(browser))
    sent: list[dict[str, Any]] = []

    def send(_url: str, *, data: bytes, **_others: Any) -> Any:
        token = data.decode().removeprefix("logout_token=")
        sent.append(jwt.decode(token, options={"verify_signature": False}))
        raise RuntimeError

    monkeypatch.setattr(logout_notices, "send_guarded", send)
    logout_notices.queue_all_of_user(viewer)
    logout_notices.send_due()

    assert [(each["sub"], each["sid"]) for each in sent] == [(claims["sub"], claims["sid"])]


def test_discovery_and_the_page_of_the_app_say_it(
    one: RelyingParty, browser_of: Callable[[User], Client], owner: User
) -> None:
    assert metadata()["subject_types_supported"] == ["public", "pairwise"]
    page = browser_of(owner).get(f"/admin/applications/app/{one.app.pk}/change/").content.decode()
    section = page.partition('id="claims-title"')[2].partition("</section>")[0]
    assert subject_of(one.app, owner.pk) in section
    assert str(owner.pk) not in section
