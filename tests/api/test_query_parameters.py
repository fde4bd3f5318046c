"""Lists refuse query parameters that they do not have; the export answers what Accept allows."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from tests.api.calls import API, call, problem
from tests.api.routes import api_routes

pytestmark = pytest.mark.django_db


def _paths(user: User) -> list[str]:
    """Every path of the API that can be read and needs at most the id of a user."""
    found = []
    for route in api_routes():
        view: Any = getattr(route.callback, "cls", None)
        path = re.sub(r"<uuid:user_id>", str(user.pk), str(route.pattern))
        if view is not None and hasattr(view, "get") and "<" not in path:
            found.append(path)
    return found


def _lists(browser: Client, user: User) -> dict[str, set[str]]:
    """Path -> the members of its answer, of those that answer with `results`."""
    answers = {path: browser.get(f"{API}/{path}") for path in _paths(user)}
    return {
        path: set(answer.json())
        for path, answer in answers.items()
        if answer.headers.get("Content-Type") == "application/json" and "results" in answer.json()
    }


def test_every_list_refuses_a_parameter_that_it_does_not_have(
    owner: User, viewer: User, browser_of: Any
) -> None:
    browser = browser_of(owner)
    lists = _lists(browser, viewer)
    assert {"users", "invitations", "api-keys", "audit-events", "me/sessions", "refusals",
            "moderation/bans", "moderation/violations", "access-rules",
            f"users/{viewer.pk}/sessions", f"users/{viewer.pk}/api-keys",
            f"users/{viewer.pk}/second-factors"} <= set(lists)  # fmt: skip

    for path in lists:
        answer = browser.get(f"{API}/{path}?nonsense=1")
        assert problem(answer) == (400, "invalid"), path
        assert answer.json()["detail"] == "There is no parameter “nonsense”.", path


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("users", "limt", "limit"),
        ("users", "is_activ", "is_active"),
        ("users", "serch", "search"),
        ("audit-events", "actions", "action"),
        ("moderation/bans", "activ", "active"),
        ("users/export", "rol", "role"),
    ],
)
def test_a_misspelt_parameter_is_named_with_the_right_one(
    owner: User, browser_of: Any, path: str, wrong: str, right: str
) -> None:
    browser, before = browser_of(owner), AuditEvent.objects.count()

    answer = browser.get(f"{API}/{path}?{wrong}=true")

    assert problem(answer) == (400, "invalid")
    detail = answer.json()["detail"]
    assert detail == f"There is no parameter “{wrong}”. Did you mean “{right}”?"
    assert AuditEvent.objects.count() == before


def test_a_long_name_is_cut_and_a_lone_surrogate_replaced(owner: User, browser_of: Any) -> None:
    browser = browser_of(owner)

    long = browser.get(f"{API}/users?{'x' * 500}=1")

    assert problem(long) == (400, "invalid")
    assert "x" * 80 in long.json()["detail"]
    assert "x" * 81 not in long.json()["detail"]


# The export


@pytest.mark.parametrize("accept", ["*/*", "text/csv", "text/*", "text/html, */*;q=0.1"])
def test_the_export_answers_csv_where_it_is_accepted(
    owner: User, browser_of: Any, accept: str
) -> None:
    answer = browser_of(owner).get(f"{API}/users/export", headers={"accept": accept})

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert owner.email.encode() in b"".join(answer.streaming_content)


@pytest.mark.parametrize("accept", ["application/json", "image/png", "text/html"])
def test_the_export_gives_nothing_else_and_records_nothing(
    owner: User, browser_of: Any, accept: str
) -> None:
    browser, before = browser_of(owner), AuditEvent.objects.count()

    answer = browser.get(f"{API}/users/export", headers={"accept": accept})

    assert problem(answer)[0] == 406
    assert AuditEvent.objects.count() == before


def test_an_audit_event_tells_addresses_and_a_sentence(
    owner: User, viewer: User, browser_of: Any
) -> None:
    browser = browser_of(owner)
    call(browser, "PATCH", f"users/{viewer.pk}", {"role": "editor"})

    (row,) = call(browser, "GET", "audit-events?action=account:role:change").json()["results"]

    assert (row["actor_email"], row["target_email"]) == (owner.email, viewer.email)
    assert row["sentence"].endswith("from viewer to editor.")
