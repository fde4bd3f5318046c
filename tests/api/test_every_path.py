"""Common to every path of the API."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_without_a_credential_the_caller_is_anonymous(stranger: Client) -> None:
    answer = stranger.get("/api/v1/me")

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "not_authenticated"
    assert "X-CSRF-Token" not in answer


def test_the_browser_session_is_a_credential(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    for path in ("/api/v1/me", "/api/v1/me/"):
        answer = browser_of(viewer).get(path)

        assert answer.status_code == 200
        assert answer.json()["email"] == "viewer@example.com"
        assert answer.json()["role"] == "viewer"
        assert answer["Cache-Control"] == "no-store"
        assert len(answer["X-CSRF-Token"]) == 64


def test_unknown_paths_and_methods_are_problem_documents(stranger: Client) -> None:
    missing = stranger.get("/api/v1/nothing")
    wrong = stranger.put("/api/v1/me")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong["Allow"] == "DELETE, GET, PATCH"
