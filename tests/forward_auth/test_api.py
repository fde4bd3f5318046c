"""Access rules and refusals by the API: the same rules, locks and audit rows as in the admin."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.groups.changes import change_group, create_group, delete_group
from audit.models import AuditEvent
from forward_auth.models import AccessRule, Denial
from forward_auth.services import rules
from moderation.services.bans import ban
from tests.api.calls import call, problem
from tests.api.keys import call_with, made
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
WIKI = {
    "name": " The  wiki ",
    "effect": "role",
    "role": "editor",
    "host": "Wiki.Example.com",
    "path": "/edit",
    "methods": ["POST", "GET"],
    "networks": ["10.0.0.0/8"],
}


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


@pytest.fixture
def three(owner: User) -> list[AccessRule]:
    return [
        rules.create_rule(actor=owner, rule=AccessRule(name=name, effect="public"))
        for name in "abc"
    ]


def names(browser: Client) -> list[tuple[int, str]]:
    found = call(browser, "GET", "access-rules").json()["results"]
    return [(rule["position"], rule["name"]) for rule in found]


def last_event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("seq")


def test_a_rule_is_made_like_in_the_admin(owner: User, browser: Client) -> None:
    answer = call(browser, "POST", "access-rules", WIKI)

    assert answer.status_code == 201, answer.content
    rule = AccessRule.objects.get()
    assert answer["Location"] == f"http://localhost:8000/api/v1/access-rules/{rule.pk}"
    record = answer.json()
    assert record == call(browser, "GET", f"access-rules/{rule.pk}").json()
    assert (record.pop("id"), record.pop("position")) == (str(rule.pk), 1)
    assert record.pop("created_at")
    assert record == {
        "name": "The wiki",
        "is_enabled": True,
        "effect": "role",
        "role": "editor",
        "host": "wiki.example.com",
        "path": "/edit",
        "methods": ["GET", "POST"],
        "networks": ["10.0.0.0/8"],
        "groups": [],
        "app_id": None,
    }
    event = last_event("sso:rule:create")
    assert (event.actor_id, event.target_id) == (owner.pk, rule.pk)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["effect", "name"]),
        ({"name": "", "effect": "some"}, ["effect", "name"]),
        (WIKI | {"host": "https://x/", "path": "edit", "networks": ["10.0.0.1/8"]},
         ["host", "networks", "path"]),
        (WIKI | {"methods": ["BREW"], "host": "a:b"}, ["host", "methods.0"]),
        (WIKI | {"role": "none"}, ["role"]),
        (WIKI | {"position": 1, "hots": "x"}, ["hots", "position"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_a_rule_is_told(
    browser: Client, fields: Any, wrong: list[str]
) -> None:
    answer = call(browser, "POST", "access-rules", fields)

    assert problem(answer) == (402, "record_invalid")
    assert sorted(answer.json()["errors"]) == wrong
    assert not AccessRule.objects.exists()


def test_a_rule_asks_for_groups_by_name_or_id(owner: User, browser: Client) -> None:
    finance, staff = (create_group(actor=owner, name=name) for name in ("finance", "staff"))

    made = call(browser, "POST", "access-rules", WIKI | {"groups": [str(staff.pk), "Finance"]})
    path = f"access-rules/{made.json()['id']}"
    assert made.json()["groups"] == ["finance", "staff"]
    assert AccessRule.objects.get().group_ids == [str(staff.pk), str(finance.pk)]
    change_group(actor=owner, group=finance, changes={"name": "money"})
    delete_group(actor=owner, group=staff, confirmed=True)
    record = call(browser, "GET", path).json()
    assert record["groups"] == [str(staff.pk), "money"]
    assert call(browser, "PATCH", path, record | {"path": "/x"}).status_code == 200
    assert AccessRule.objects.get().group_ids == [str(staff.pk), str(finance.pk)]
    for fields in (
        {"groups": ["finance"]},
        {"groups": [str(uuid.uuid4())]},
        {"effect": "deny"},
        {"effect": "public"},
    ):
        answer = call(browser, "PATCH", path, fields)
        assert (problem(answer), [*answer.json()["errors"]]) == (
            (402, "record_invalid"),
            ["groups"],
        )
    assert call(browser, "PATCH", path, {"groups": []}).json()["groups"] == []


def test_a_change_keeps_what_is_not_sent(browser: Client, three: list[AccessRule]) -> None:
    path = f"access-rules/{three[1].pk}"

    record = call(browser, "PATCH", path, {"path": "/x"}).json()
    assert (record["name"], record["path"], record["position"]) == ("b", "/x", 2)
    assert last_event("sso:rule:change").detail["after"] == {"path": "/x"}
    assert call(browser, "PATCH", path, record | {"is_enabled": False}).json() == {
        **record,
        "is_enabled": False,
    }
    assert not AccessRule.objects.get(name="b").is_enabled
    count = AuditEvent.objects.count()
    assert call(browser, "PATCH", path, {"is_enabled": False}).status_code == 200
    assert AuditEvent.objects.count() == count
    wrong = call(browser, "PATCH", path, record | {"position": 1})
    assert list(wrong.json()["errors"]) == ["position"]


def test_rules_are_moved_to_a_place(browser: Client, three: list[AccessRule]) -> None:
    path = f"access-rules/{three[2].pk}/move"

    assert call(browser, "POST", path, {"position": 1}).json()["position"] == 1
    assert names(browser) == [(1, "c"), (2, "a"), (3, "b")]
    assert last_event("sso:rule:move").detail["after"] == "1"
    assert call(browser, "POST", path, {"position": 500}).json()["position"] == 3
    assert names(browser) == [(1, "a"), (2, "b"), (3, "c")]
    for wrong in ({}, {"position": 0}, {"position": 501}, {"position": "first"}):
        assert problem(call(browser, "POST", path, wrong)) == (402, "record_invalid")


def test_a_rule_is_deleted(browser: Client, three: list[AccessRule]) -> None:
    path = f"access-rules/{three[0].pk}"

    assert call(browser, "DELETE", path).status_code == 204
    assert names(browser) == [(1, "b"), (2, "c")]
    assert last_event("sso:rule:delete").detail["name"] == "a"
    assert problem(call(browser, "DELETE", path)) == (404, "not_found")


def test_administrators_read_rules_and_owners_change_them(
    admin: User, browser_of: BrowserOf, three: list[AccessRule]
) -> None:
    browser, path = browser_of(admin), f"access-rules/{three[0].pk}"
    changes = [
        ("POST", "access-rules", WIKI),
        ("PATCH", path, {"is_enabled": False}),
        ("DELETE", path, None),
        ("POST", f"{path}/move", {"position": 3}),
    ]

    assert len(names(browser)) == 3
    for method, place, body in changes:
        assert problem(call(browser, method, place, body)) == (403, "forbidden")
    assert names(browser) == [(1, "a"), (2, "b"), (3, "c")]
    assert AccessRule.objects.filter(is_enabled=True).count() == 3


def test_a_key_needs_the_scope_users(owner: User, three: list[AccessRule]) -> None:
    short, long = (made(owner, scopes=[scope]).text for scope in ("read", "users"))

    for path in ("access-rules", "refusals"):
        assert problem(call_with(short, "GET", path)) == (403, "forbidden")
        assert call_with(long, "GET", path).status_code == 200


# Simulation


def test_a_request_is_simulated_with_every_step(
    admin: User, viewer: User, owner: User, browser_of: BrowserOf
) -> None:
    rules.create_rule(actor=owner, rule=AccessRule(name="Other", effect="deny", host="b.example"))
    rule = rules.create_rule(
        actor=owner, rule=AccessRule(name="Wiki", effect="role", role="editor", host="a.example")
    )
    asked = {"who": viewer.email, "url": "a.example/x", "ip": "203.0.113.7"}
    browser = browser_of(admin)
    before = AuditEvent.objects.count()

    found = call(browser, "POST", "access-rules/simulate", asked).json()

    assert (found["status"], found["is_allowed"], found["code"]) == (403, False, "forbidden")
    assert found["rule_id"] == str(rule.pk)
    assert found["why"] == "requires the role Editor; the user has Viewer"
    assert [(one["name"], one["state"], one["unmet"]) for one in found["rules"]] == [
        ("Other", "no-match", ["host"]),
        ("Wiki", "matches", []),
    ]
    assert [one["decides"] for one in found["rules"]] == [False, True]
    assert [(one["code"], one["is_passed"]) for one in found["steps"]][-2:] == [
        ("not-denied", True),
        ("role", False),
    ]
    assert found["headers"] == {}
    assert AuditEvent.objects.count() == before
    assert not Denial.objects.exists()


def test_a_simulated_request_that_is_allowed_shows_the_headers(
    editor: User, browser: Client
) -> None:
    found = call(
        browser, "POST", "access-rules/simulate", {"who": editor.email, "url": "https://a.example"}
    ).json()

    assert (found["status"], found["is_allowed"], found["rule_id"]) == (204, True, None)
    assert found["headers"]["Remote-Email"] == editor.email


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"url": "https://a.example", "who": "nobody@example.com"}, ["who"]),
        ({"who": "nobody"}, ["url", "who"]),
        ({"url": "https://a.example", "ip": "x", "method": "BREW"}, ["ip", "method"]),
        ({"url": "https://a.example", "role": "none"}, ["role"]),
    ],
)
def test_what_is_wrong_with_a_simulated_request_is_told(
    browser: Client, asked: Any, wrong: list[str]
) -> None:
    answer = call(browser, "POST", "access-rules/simulate", asked)

    assert problem(answer) == (402, "record_invalid")
    assert sorted(answer.json()["errors"]) == wrong


# Refusals


def denied(reference: str, **fields: Any) -> Denial:
    values = {"status": 403, "code": "forbidden", "why": "requires editor", "method": "GET"}
    return Denial.objects.create(reference=reference, **{**values, **fields})


def test_refusals_are_listed_by_time_and_filtered(
    browser: Client, viewer: User, three: list[AccessRule]
) -> None:
    now = timezone.now()
    denied("ZZZZ2222", at=now - timedelta(hours=2), host="a.example", ip="203.0.113.7")
    denied("MMMM2222", at=now - timedelta(hours=1), user=viewer, rule=three[0])
    denied("BBBB2222", at=now - timedelta(hours=1), status=401, code="not_authenticated")
    denied("AAAA2222", at=now, credential="gate")

    def listed(query: str = "") -> list[str]:
        found = call(browser, "GET", f"refusals{query}").json()["results"]
        return [row["reference"] for row in found]

    assert listed() == ["AAAA2222", "MMMM2222", "BBBB2222", "ZZZZ2222"]
    assert listed("?host=a.example") == listed("?ip=203.0.113.7") == ["ZZZZ2222"]
    assert listed(f"?user={viewer.pk}") == listed(f"?rule={three[0].pk}") == ["MMMM2222"]
    assert listed("?status=401") == listed("?code=not_authenticated") == ["BBBB2222"]
    stamp = (now - timedelta(minutes=90)).isoformat().replace("+", "%2B")
    assert listed(f"?before={stamp}") == ["ZZZZ2222"]
    assert len(listed(f"?after={stamp}")) == 3
    assert problem(call(browser, "GET", "refusals?user=x&ip=y")) == (402, "record_invalid")


def test_pages_of_refusals_follow_each_other_both_ways(browser: Client) -> None:
    at = timezone.now()
    for reference in ("AAAA2222", "BBBB2222", "CCCC2222"):
        denied(reference, at=at)
    denied("DDDD2222", at=at - timedelta(seconds=1))

    def page(path: str) -> tuple[list[str], dict[str, Any]]:
        found = call(browser, "GET", path.partition("/api/v1/")[2] or path).json()
        return [row["reference"] for row in found["results"]], found

    first, links = page("refusals?limit=2")
    assert first == ["CCCC2222", "BBBB2222"]
    assert links["previous"] is None
    second, links = page(links["next"])
    assert (second, links["next"]) == (["AAAA2222", "DDDD2222"], None)
    assert page(links["previous"])[0] == first
    for cursor in ("x", "PDIwMjY", "PDIwMjYtMDEtMDEgQQ"):  # not one, no key, no time zone
        wrong = call(browser, "GET", f"refusals?cursor={cursor}")
        assert problem(wrong) == (402, "record_invalid")
        assert list(wrong.json()["errors"]) == ["cursor"]


def test_a_refusal_says_why_and_what_holds_now(
    browser: Client, viewer: User, three: list[AccessRule]
) -> None:
    denied("ABCD2345", user=viewer, rule=three[0], credential="gate", count=3, path="/x")
    lasting = ban(actor=SYSTEM, user=viewer, duration=None, reason="spam")

    found = call(browser, "GET", "refusals/abcd-2345").json()

    assert found.pop("at")
    assert "spam" in found.pop("user_denial")
    assert found == {
        "reference": "ABCD2345",
        "status": 403,
        "code": "forbidden",
        "reason": "The rule allows no one, or requires a higher role than the user had.",
        "why": "requires editor",
        "rule_id": str(three[0].pk),
        "rule": "a",
        "app_id": None,
        "user_id": str(viewer.pk),
        "credential": "session",
        "host": "",
        "path": "/x",
        "method": "GET",
        "ip": "",
        "count": 3,
        "ban_ids": [str(lasting.pk)],
    }
    assert problem(call(browser, "GET", f"refusals/{uuid.uuid4()}")) == (404, "not_found")


def test_refusals_are_for_administrators(
    make_user: MakeUser, browser_of: BrowserOf, admin: User
) -> None:
    denied("ABCD2345")
    for role in ("none", "viewer", "editor"):
        browser = browser_of(make_user(role))
        for path in ("refusals", "refusals/ABCD2345"):
            assert problem(call(browser, "GET", path)) == (403, "forbidden")
    assert call(browser_of(admin), "GET", "refusals/ABCD2345").status_code == 200
