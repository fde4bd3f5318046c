"""Where the API accepts credentials; a wrong one is never ignored."""

import base64
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import User
from api.authorization_header import parse_authorization
from api.tokens import refresh_tokens
from tests.api.keys import made, problem
from tests.forward_auth.credentials import OF_APPS, basic, key_at

pytestmark = pytest.mark.django_db


def me(**headers: str) -> Any:
    return Client().get("/api/v1/me", **headers)  # type: ignore[arg-type]  # headers of WSGI


@pytest.mark.parametrize("place", ["x-api-key", "bearer", "basic"])
def test_a_key_is_accepted_in_each_place(viewer: User, place: str) -> None:
    answer = me(**key_at(place, made(viewer).text))

    assert (answer.status_code, answer.json()["email"]) == (200, viewer.email)


@pytest.mark.parametrize("place", ["x-api-key", "bearer", "basic"])
def test_a_wrong_key_is_refused_in_each_place(viewer: User, place: str) -> None:
    answer = me(**key_at(place, made(viewer).text[:-1] + "_"))

    assert problem(answer) == (403, "api_key_invalid")


@pytest.mark.parametrize("app", OF_APPS)
def test_no_wrong_credential_is_ignored(viewer: User, browser_of: Any, app: dict[str, str]) -> None:
    """The API stays strict where forward auth is not, beside a live session too."""
    answer = browser_of(viewer).get("/api/v1/me", **app)

    assert problem(answer) in {(401, "token_invalid"), (403, "api_key_invalid")}


@pytest.mark.parametrize("user", ["", "git", "a b", "ü", "gth_x"])
def test_the_user_name_beside_a_key_does_not_matter(viewer: User, user: str) -> None:
    assert me(HTTP_AUTHORIZATION=basic(user, made(viewer).text)).status_code == 200


def test_a_key_is_no_user_name(viewer: User) -> None:
    assert problem(me(HTTP_AUTHORIZATION=basic(made(viewer).text, ""))) == (401, "token_invalid")


def test_two_keys_do_not_count_as_key_and_token(viewer: User, settings: LazySettings) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True
    one, other = made(viewer, "one").text, made(viewer, "other").text
    token = refresh_tokens.start_by_password(viewer, timezone.now()).access

    two_keys = me(HTTP_X_API_KEY=one, HTTP_AUTHORIZATION=f"Bearer {other}")
    assert problem(two_keys) == (401, "not_authenticated")
    assert me(HTTP_X_API_KEY=one, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200


def test_two_keys_of_two_users_are_rejected(viewer: User, editor: User) -> None:
    both = {
        "HTTP_X_API_KEY": made(viewer).text,
        "HTTP_AUTHORIZATION": basic("git", made(editor).text),
    }

    assert problem(me(**both)) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("Bearer a.b.c", ("", "a.b.c")),
        ("bEaReR  gth_x", ("gth_x", "")),
        ("Bearer gth_x, Bearer a.b.c", ("gth_x, Bearer a.b.c", "")),
        ("Bearer a b", ("", "")),
        (basic("u", "gth_a:b"), ("gth_a:b", "")),
        (basic("u", "gth_x").rstrip("="), ("gth_x", "")),
        ("Basic " + base64.b64encode(b"\xff:gth_x").decode(), ("gth_x", "")),
        ("Basic " + base64.b64encode(b"gth_x").decode(), ("", "")),
        ("Basic " + "A" * 5000, ("", "")),
        ("Token gth_x", ("", "")),
        ("gth_x", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_header_contains_a_key_a_token_or_nothing(header: str, read: tuple[str, str]) -> None:
    assert parse_authorization(header) == read
