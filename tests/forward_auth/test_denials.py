"""Denials: recorded with a reference, found by it in any spelling, explained on a page."""

import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Count, Sum
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from forward_auth import sql
from forward_auth.admin.denials import CREDENTIALS
from forward_auth.cache import CheckResult
from forward_auth.decisions import AuthFailure, Decision, Question
from forward_auth.models import AccessRule, Denial
from forward_auth.request import target_of
from forward_auth.rules.matching import Requirement
from forward_auth.services import denials
from forward_auth.services.denials import (
    ALPHABET,
    CLIENT_LIMITS,
    OVERFLOW,
    USER_LIMITS,
    note_denial,
    purge_denials,
    reference_in,
    write_denials,
)
from moderation.models import Ban
from tests.api.keys import made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[..., Client]
LIST = "/admin/forward_auth/denial/"
HOST = "app.example.com"


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


@pytest.fixture(autouse=True)
def _in_one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds hold for a minute of the clock: no test begins in one and ends in the next."""
    now = timezone.now().replace(second=30)
    monkeypatch.setattr(timezone, "now", lambda: now)


def denied(reference: str = "ABCD2345", **fields: Any) -> Denial:
    values = {"status": 403, "code": "forbidden", "host": HOST, "path": "/x", "method": "GET",
              "ip": "203.0.113.7", "why": "no rule matches; reading requires viewer"}  # fmt: skip
    return Denial.objects.create(reference=reference, **{**values, **fields})


def shown(panel: Client, query: str = "") -> list[str]:
    answer = panel.get(f"{LIST}{query}")
    assert answer.status_code == 200
    return [row.reference for row in answer.context["cl"].result_list]


def page(panel: Client, row: Denial) -> str:
    answer = panel.get(f"{LIST}{row.pk}/change/")
    assert answer.status_code == 200
    return str(answer.content.decode())


def ask(browser: Client, path: str = "/x", **headers: str) -> Any:
    """The answer of /auth/forward to a page of the app."""
    return browser.get("/auth/forward", headers={
        "x-forwarded-proto": "https", "x-forwarded-host": HOST, "x-forwarded-uri": path,
        "x-forwarded-method": "GET", "accept": "text/html", **headers,
    })  # fmt: skip


# From the request to the page


def test_a_denied_user_sees_a_reference_and_the_administrator_finds_it(
    panel: Client, viewer: User, browser_of: BrowserOf
) -> None:
    row = AccessRule.objects.create(name="Admins", effect="role", role="admin", path="/shut")

    answer = ask(browser_of(viewer), "/shut")
    write_denials()

    denial = Denial.objects.get(code="forbidden")
    assert answer.status_code == 403
    assert denial.reference in answer.content.decode()
    text = page(panel, denial)
    assert f"/admin/forward_auth/accessrule/{row.pk}/change/" in text
    assert f"/admin/accounts/user/{viewer.pk}/change/" in text
    assert "rule “Admins” requires admin" in text


def test_the_same_denial_within_a_minute_is_one_row(stranger: Client, viewer: User) -> None:
    for _time in range(3):
        ask(stranger, "/again-and-again")
    write_denials()

    (row,) = Denial.objects.filter(path="/again-and-again")
    assert (row.status, row.code, row.count) == (401, "not_authenticated", 3)


def test_a_denial_repeated_after_it_was_written_is_counted(stranger: Client) -> None:
    ask(stranger, "/again-and-again")
    assert write_denials() == 1
    for _time in range(2):
        ask(stranger, "/again-and-again")

    assert [write_denials(), write_denials()] == [1, 0]
    assert Denial.objects.get(path="/again-and-again").count == 3


def test_a_denied_key_of_a_banned_user_shows_user_and_ban(panel: Client, editor: User) -> None:
    key = made(editor)
    ban = Ban.objects.create(user=editor, kind="manual", reason="Spam",
                             until=timezone.now() + timedelta(hours=1))  # fmt: skip

    answer = ask(Client(), "/by-key", **{"x-api-key": key.text})
    write_denials()

    assert answer.status_code == 403
    row = Denial.objects.get(path="/by-key")
    assert (row.code, row.user_id) == ("banned", editor.pk)
    assert f"/admin/moderation/ban/{ban.pk}/change/" in page(panel, row)


def test_a_user_deleted_before_writing_does_not_lose_other_rows(
    stranger: Client, viewer: User, browser_of: BrowserOf
) -> None:
    row = AccessRule.objects.create(name="Shut", effect="deny")
    ask(browser_of(viewer), "/deleted")
    ask(stranger, "/other")
    viewer.delete()
    row.delete()

    assert write_denials() == 2
    assert set(Denial.objects.values_list("path", "user_id", "rule_id")) == {
        ("/deleted", None, None), ("/other", None, None),
    }  # fmt: skip


def test_a_reference_has_no_ambiguous_letters() -> None:
    assert set("01IO") & set(ALPHABET) == set()


@pytest.mark.parametrize(
    ("accepted", "mode", "is_signed_in", "status", "kind"),
    [
        ("text/html", "navigate", True, 403, "text/html"),
        ("application/json", "cors", True, 403, "application/problem+json"),
        ("text/html", "cors", False, 401, "application/problem+json"),
        ("application/json", "cors", False, 401, "application/problem+json"),
    ],
)
def test_only_a_denied_navigation_gets_a_page(
    viewer: User,
    stranger: Client,
    browser_of: BrowserOf,
    accepted: str,
    mode: str,
    is_signed_in: bool,
    status: int,
    kind: str,
) -> None:
    AccessRule.objects.create(name="Shut", effect="deny")
    browser = browser_of(viewer) if is_signed_in else stranger

    answer = ask(browser, "/x", **{"accept": accepted, "sec-fetch-mode": mode})

    assert (answer.status_code, answer["content-type"].partition(";")[0]) == (status, kind)


# The list


def test_the_newest_denials_come_first(panel: Client) -> None:
    now = timezone.now()
    denied("AAAA2222", at=now - timedelta(hours=2))
    denied("BBBB2222", at=now)

    assert shown(panel) == ["BBBB2222", "AAAA2222"]


@pytest.mark.parametrize(
    "typed", ["ABCD2345", "abcd2345", " abcd 2345 ", "ABCD-2345", "ab cd 23 45"]
)
def test_a_reference_is_found_however_it_is_typed(panel: Client, typed: str) -> None:
    denied("ABCD2345")
    denied("ABCD2346")

    assert shown(panel, f"?q={typed}") == ["ABCD2345"]


@pytest.mark.parametrize("text", ["", "ABCD234", "ABCD23455", "ABCD1345", "ABCD234!"])
def test_invalid_references_are_not_searched(text: str) -> None:
    assert reference_in(text) == ""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=vera", ["PERS2222"]),
        ("?q=viewer@example.com", ["PERS2222"]),
        ("?q=Other.example.com", ["HOST2222"]),
        ("?q=198.51.100.9", ["ADDR2222"]),
        ("?code=banned", ["CODE2222"]),
        ("?code=nonsense", ["ADDR2222", "CODE2222", "HOST2222", "PERS2222"]),
        ("?host=other.example.com", ["HOST2222"]),
    ],
)
def test_denials_are_searched_and_filtered(
    panel: Client, viewer: User, query: str, found: list[str]
) -> None:
    denied("PERS2222", user=viewer)
    denied("HOST2222", host="other.example.com")
    denied("ADDR2222", ip="198.51.100.9")
    denied("CODE2222", code="banned")

    assert sorted(shown(panel, query)) == found


def test_denials_of_one_user_are_listed(panel: Client, viewer: User, editor: User) -> None:
    denied("AAAA2222", user=viewer)
    denied("BBBB2222", user=editor)

    assert shown(panel, f"?person={viewer.pk}") == ["AAAA2222"]


def test_only_administrators_see_denials(
    stranger: Client, viewer: User, editor: User, admin: User, browser_of: BrowserOf
) -> None:
    statuses = [browser_of(one).get(LIST).status_code for one in (viewer, editor, admin)]

    assert statuses == [403, 403, 200]
    assert stranger.get(LIST)["location"] == f"/sign-in?next={LIST}"


def test_a_denial_cannot_be_added_changed_or_deleted(panel: Client) -> None:
    row = denied()

    assert panel.get(f"{LIST}add/").status_code == 403
    assert panel.post(f"{LIST}{row.pk}/change/", {"why": "x"}).status_code == 403
    assert panel.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


# The page


def test_the_page_links_to_a_simulation_of_the_request(panel: Client, viewer: User) -> None:
    row = denied(user=viewer, path="/a b/ü", method="POST")

    answer = panel.get(f"{LIST}{row.pk}/change/")
    result = panel.get(answer.context["trial"]).context["result"]

    assert result["status"] == 403
    assert result["asked"].url == f"https://{HOST}/a%20b/%C3%BC"
    assert result["asked"].ip == "203.0.113.7"
    assert viewer.email in result["who"]


def test_an_ambiguous_request_cannot_be_simulated(panel: Client) -> None:
    assert "cannot be simulated" in page(panel, denied(path=""))


def test_the_page_shows_the_ban_of_that_time_and_a_current_one(panel: Client, viewer: User) -> None:
    now = timezone.now()
    spans = {
        "then": (now - timedelta(hours=5), now - timedelta(hours=3)),
        "now": (now - timedelta(hours=1), now + timedelta(hours=1)),
        "between": (now - timedelta(hours=3), now - timedelta(hours=2)),
        "before": (now - timedelta(hours=9), now - timedelta(hours=8)),
    }
    for reason, (since, until) in spans.items():
        Ban.objects.create(user=viewer, kind="manual", reason=reason, created_at=since, until=until)
    row = denied(user=viewer, at=now - timedelta(hours=4))

    answer = panel.get(f"{LIST}{row.pk}/change/")

    assert [link.partition(">")[2].removesuffix("</a>") for link, _end in answer.context["bans"]] \
        == ["now", "then"]  # fmt: skip
    assert "banned" in answer.context["closed"]


@pytest.mark.parametrize(("status", "tone"), [(401, "warn"), (403, "bad")])
def test_the_badge_tells_a_missing_sign_in_from_a_denial(
    panel: Client, status: int, tone: str
) -> None:
    row = denied(status=status)
    badge = f'<span class="badge badge-{tone}">'

    assert panel.get(LIST).content.decode().count(badge) == 1
    assert badge in panel.get(f"{LIST}{row.pk}/change/").context["badge"]


def test_a_deleted_rule_or_user_keeps_the_denial(panel: Client, viewer: User) -> None:
    rule = AccessRule.objects.create(name="Gone", effect="deny")
    row = denied(rule=rule, user=viewer, why="rule “Gone” allows no one")
    rule.delete()
    viewer.delete()

    text = page(panel, row)

    assert "rule “Gone” allows no one" in text
    assert "a rule that was deleted" in text


@pytest.mark.parametrize(
    "code", ["not_authenticated", "forbidden", "email_unverified", "scope_missing", "csrf_failed"]
)
def test_every_code_has_a_page(panel: Client, code: str) -> None:
    assert denied(code=code).reference in page(panel, Denial.objects.get())


def test_the_page_names_every_kind_of_credential(panel: Client) -> None:
    """Those by which a check may be asked, the cookie of apps on other hosts among them."""
    for kind, words in [*CREDENTIALS.items(), ("", "no valid credential")]:
        row = denied(f"ABCD234{len(kind)}", credential=kind)
        assert str(words) in page(panel, row)
        row.delete()
    assert set(CREDENTIALS) - {denials.SIGN_IN} == set(sql.CREDENTIALS)


def test_denials_are_kept_for_a_week() -> None:
    now = timezone.now()
    denied("AAAA2222", at=now - timedelta(days=7, minutes=1))
    denied("BBBB2222", at=now - timedelta(days=6))

    assert purge_denials(now) == 1
    assert Denial.objects.get().reference == "BBBB2222"


# Bounds


def _refused(user: User | None, path: str, ip: str = "203.0.113.7") -> str:
    """The reference of one more refusal: of a stranger, or of a person who may not."""
    target = target_of({
        "HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": HOST,
        "HTTP_X_FORWARDED_URI": path, "HTTP_X_FORWARDED_METHOD": "GET",
    })  # fmt: skip
    demand = Requirement("", False, Role.ADMIN, "no rule fits")
    if user is None:
        auth_result, status, code = AuthFailure("", "not_authenticated"), 401, "not_authenticated"
    else:
        auth_result, status, code = (
            AuthFailure("key", "forbidden", True, str(user.pk)),
            403,
            "forbidden",
        )
    return note_denial(
        CheckResult(Decision(status, code, demand, Question.ROLE), (), auth_result, target, ip)
    )


def _written() -> tuple[int, int]:
    """(rows, refusals that they count) of strangers."""
    write_denials()
    found = Denial.objects.filter(status=401).aggregate(Count("pk"), Sum("count"))
    return found["pk__count"], found["count__sum"]


def test_a_flood_of_one_client_writes_few_rows_and_counts_all(viewer: User) -> None:
    names = {_refused(None, f"/{number}") for number in range(9_000)}
    own = _refused(viewer, "/shut")

    assert _written() == (CLIENT_LIMITS.each + 1, 9_000)
    assert len(names) == CLIENT_LIMITS.each + 1
    assert Denial.objects.get(pk=own).path == "/shut"
    (more,) = Denial.objects.filter(why=OVERFLOW)
    assert (more.count, more.code) == (9_000 - CLIENT_LIMITS.each, "not_authenticated")
    assert (more.host, more.path, more.ip, more.user_id) == ("", "", "", None)


def test_a_flood_from_everywhere_writes_few_rows(viewer: User) -> None:
    for number in range(9_000):
        _refused(None, "/x", f"198.51.{number // 250}.{number % 250}")

    assert _written() == (CLIENT_LIMITS.minute + 1, 9_000)


def test_one_user_does_not_use_up_the_rows_of_others(viewer: User, editor: User) -> None:
    for number in range(1_000):
        _refused(viewer, f"/{number}")
    own = _refused(editor, "/shut")
    write_denials()

    assert Denial.objects.filter(user=viewer).count() == USER_LIMITS.each
    assert Denial.objects.get(why=OVERFLOW).count == 1_000 - USER_LIMITS.each
    assert Denial.objects.get(pk=own).user_id == editor.pk


def test_after_a_minute_new_rows_are_written(
    viewer: User, at_time: Callable[[timedelta], Any]
) -> None:
    for number in range(100):
        _refused(None, f"/{number}")
    at_time(timedelta(minutes=1, seconds=1))
    name = _refused(None, "/again")
    write_denials()

    assert Denial.objects.get(pk=name).path == "/again"


def test_the_number_of_denials_that_wait_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "MAX_WAITING", 3)

    names = [_refused(None, "/x", f"198.51.{number}.1") for number in range(5)]

    assert [bool(name) for name in names] == [True] * 3 + [False] * 2
    assert _written() == (3, 3)
    assert _refused(None, "/x", "198.51.9.1") != ""


def test_long_targets_are_not_kept_in_memory() -> None:
    for number in range(100):
        _refused(None, f"/{number}" + "x" * 8_000)

    assert len(pickle.dumps(denials._waiting.recent)) < 20_000


def test_anonymous_denials_displace_no_denials_of_users(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(denials, "CLIENT_LIMITS", replace(CLIENT_LIMITS, table=3))
    denied("PPPP2222", status=403, at=now - timedelta(days=1))
    for number in range(5):
        denied(f"AAAA222{number + 2}", status=401, at=now - timedelta(minutes=number))

    assert purge_denials(now) == 2
    assert set(Denial.objects.values_list("pk", flat=True)) == {
        "PPPP2222", "AAAA2222", "AAAA2223", "AAAA2224",
    }  # fmt: skip


# The page of the refused person


def test_the_page_works_on_the_host_of_the_app(viewer: User, browser_of: BrowserOf) -> None:
    AccessRule.objects.create(name="Shut", effect="deny")

    answer = ask(browser_of(viewer), "/of-the-app")

    text = answer.content.decode()
    addresses = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert [one for one in addresses if not one.startswith("http://localhost:8000/")] == []
    assert answer["content-security-policy"] == (
        "default-src 'none'; style-src http://localhost:8000; img-src http://localhost:8000; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert viewer.email in text


def test_a_program_that_gets_the_page_finds_the_reference_in_the_header(viewer: User) -> None:
    """curl accepts everything, so it gets the page."""
    asked = {"x-original-url": f"https://{HOST}/x", "x-original-method": "POST", "accept": "*/*"}

    response = Client().get("/auth/forward", headers=asked | {"x-api-key": made(viewer).text})

    assert response.status_code == 403
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["X-Gatehouse-Reference"] in response.content.decode()
    assert len(response["X-Gatehouse-Reference"]) == 8


def test_its_stylesheet_can_be_loaded_from_another_origin(stranger: Client, settings: Any) -> None:
    settings.WHITENOISE_USE_FINDERS = True

    answer = stranger.get("/static/gatehouse.css")

    assert answer.status_code == 200
    assert answer["cross-origin-resource-policy"] == "cross-origin"
    assert stranger.get("/sign-in")["cross-origin-resource-policy"] == "same-origin"
