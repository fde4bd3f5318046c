"""A repeated parameter is rejected, so that the checked value is the used one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from api.models import ApiKey
from core.text.strict_json import read_json
from forward_auth.models import AccessRule
from tests.api.calls import API, call, problem
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
USERS = "/admin/accounts/user/"


@pytest.mark.parametrize("index", ["0", "1", "-1", "-2"])
@pytest.mark.parametrize("second", ["disable_people", "delete_selected", ""])
def test_a_repeated_action_is_rejected(
    admin: User, viewer: User, browser_of: BrowserOf, index: str, second: str
) -> None:
    browser = browser_of(admin)
    form = {
        "action": ["delete_selected", second],
        "index": index,
        "confirmed": "yes",
        "_selected_action": str(viewer.pk),
    }

    assert browser.post(USERS, form).status_code == 400
    assert User.objects.filter(pk=viewer.pk, is_active=True).exists()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/sign-in", {"login": ["viewer@example.com", "x@example.com"], "password": PASSWORD}),
        ("/sign-in", {"login": "viewer@example.com", "password": ["wrong", PASSWORD]}),
        ("/sign-in?next=/a&next=/b", {"login": "viewer@example.com", "password": PASSWORD}),
        ("/magic-link", {"email": ["viewer@example.com", "x@example.com"]}),
        ("/password/forgot", {"email": ["viewer@example.com", "x@example.com"]}),
        ("/confirm", {"password": ["wrong", PASSWORD]}),
        (USERS, {"index": ["0", "1"], "action": "disable_people"}),
        (f"{USERS}?role=viewer&role=admin", {}),
        (f"{USERS}add/", {"role": ["viewer", "admin"], "email": "new@example.com"}),
    ],
)
def test_pages_reject_a_repeated_parameter(
    stranger: Client, viewer: User, path: str, form: dict[str, Any]
) -> None:
    answer = stranger.post(path, form)

    assert answer.status_code == 400
    assert "was sent more than once" in answer.content.decode()
    assert "_auth_user_id" not in stranger.session
    assert User.objects.count() == 1


def test_the_api_names_the_repeated_field(stranger: Client) -> None:
    answer = stranger.post(
        "/sign-in", {"login": ["a", "b"]}, headers={"accept": "application/json"}
    )

    assert problem(answer) == (400, "repeated_parameter")
    assert "“login”" in answer.json()["detail"]


def test_multiple_choice_fields_may_repeat(
    owner: User, browser_of: BrowserOf, viewer: User
) -> None:
    browser = browser_of(owner)
    key = {"name": "Nightly", "scopes": ["read", "write"], "life": "7"}
    rule = {"name": "Wiki", "effect": "role", "role": "viewer", "methods": ["GET", "POST"],
            "path": "/wiki", "is_enabled": "on"}  # fmt: skip
    ticked = {"action": "disable_people", "confirmed": "yes",
              "_selected_action": [str(viewer.pk), str(owner.pk)]}  # fmt: skip

    assert browser.post("/account/keys", key).status_code == 200
    assert browser.post("/admin/forward_auth/accessrule/add/", rule).status_code == 302
    assert browser.post(USERS, ticked).status_code == 302

    assert ApiKey.objects.get().scopes == ["read", "write"]
    assert AccessRule.objects.get().methods == ["GET", "POST"]
    assert not User.objects.get(pk=viewer.pk).is_active


def test_a_repeated_json_name_is_rejected(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    token = browser.get(f"{API}/me")["X-CSRF-Token"]
    bodies = [
        '{"is_active": false, "is_active": false}',
        '{"is_active": false, "role": "editor", "is_active": false}',
        '{"role": "none", "r\\u006fle": "editor"}',
        '{"name": {"a": 1, "a": 2}}',
        '{"name": NaN}',
    ]

    for body in bodies:
        answer = browser.patch(
            f"{API}/users/{viewer.pk}", body, "application/json", headers={"x-csrf-token": token}
        )
        assert problem(answer) == (400, "malformed"), body
    viewer.refresh_from_db()
    assert (viewer.role, viewer.is_active, viewer.name) == ("viewer", True, "Vera Viewer")


@pytest.mark.parametrize("query", ["role=viewer&role=owner", "limit=1&limit=200", "x=&x="])
def test_a_repeated_query_parameter_of_the_api_is_rejected(
    admin: User, browser_of: BrowserOf, query: str
) -> None:
    answer = call(browser_of(admin), "GET", f"users?{query}")

    assert problem(answer) == (400, "repeated_parameter")


def test_the_http_method_is_read_only_from_the_request_line(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        answer = browser.get(f"{API}/users/{viewer.pk}?_method=DELETE", headers={name: "DELETE"})
        assert answer.status_code == 200, name
    answer = call(browser, "POST", f"users/{viewer.pk}", {"_method": "DELETE"})
    assert problem(answer) == (405, "method_not_allowed")
    assert User.objects.filter(pk=viewer.pk).exists()


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "a": 1}}]', "NaN", "{"])
def test_ambiguous_json_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


def test_unambiguous_json_is_accepted() -> None:
    text = '[{"a": {"a": 1}}, {"a": null}, 1.5]'

    assert read_json(text) == json.loads(text)


def _patterns(found: Any) -> list[URLPattern]:
    if isinstance(found, URLPattern):
        return [found]
    return [each for inner in found.url_patterns for each in _patterns(inner)]


def test_only_known_fields_of_our_pages_have_several_values() -> None:
    resolver: URLResolver = get_resolver()
    marked = {
        (str(pattern.name), name)
        for pattern in _patterns(resolver)
        # They refuse a repeated parameter by themselves, as OAuth says it; tests/oidc_provider.
        if not pattern.callback.__module__.startswith("oidc_provider.")
        for name in getattr(
            getattr(pattern.callback, "model_admin", pattern.callback), "repeatable", ()
        )
    }

    # Lists of what is ticked: of keys, rules, apps, webhooks, notices by mail and access reviews.
    ticked = {"scopes", "methods", "group_ids", "event_types", "groups", "item", "seen_item",
              "reviewers", "openid_group_ids", "custom_scopes"}  # fmt: skip
    assert {name for _page, name in marked} == ticked | {"keys"}
