"""Own account: reading, changing, deleting; own sign-ins and data."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import BrowserSession, User
from api.tokens.refresh_tokens import start_by_password
from audit.models import AuditEvent
from tests.api.calls import API, call, problem
from tests.api.keys import made
from tests.conftest import PASSWORD, MakeUser
from tests.mfa.sign_in_methods import by_magic_link

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
CHOSEN = {"language": "de", "time_zone": "Europe/Berlin"}


def test_users_change_their_own_name_and_user_name(viewer: User, browser_of: BrowserOf) -> None:
    answer = call(browser_of(viewer), "PATCH", "me", {"name": " Vera  V. ", "username": "Vera.V"})

    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["username"]) == ("Vera V.", "vera.v")
    viewer.refresh_from_db()
    assert (viewer.name, viewer.username) == ("Vera V.", "vera.v")


def test_users_choose_language_and_time_zone(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    answer = call(browser, "PATCH", "me", CHOSEN)

    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in CHOSEN} == CHOSEN
    viewer.refresh_from_db()
    assert (viewer.language, viewer.time_zone) == ("de", "Europe/Berlin")
    event = AuditEvent.objects.filter(action="account:user:edit").latest("seq")
    assert event.detail["fields"] == ["language", "time_zone"]
    assert call(browser, "PATCH", "me", {"time_zone": ""}).json()["time_zone"] == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": "tlh"}, "Choose a language of the list."),
        ({"language": None}, "This field may not be null."),
        ({"time_zone": "Europe/Atlantis"}, "Choose a time zone of the list."),
        ({"time_zone": "../../etc/passwd"}, "Choose a time zone of the list."),
        ({"time_zone": 1}, "Choose a time zone of the list."),
    ],
)
def test_a_language_or_time_zone_that_does_not_exist_is_refused(
    viewer: User, browser_of: BrowserOf, given: dict[str, object], message: str
) -> None:
    answer = call(browser_of(viewer), "PATCH", "me", {"name": "New"} | given)

    assert problem(answer) == (402, "record_invalid")
    assert answer.json()["errors"] == {name: [message] for name in given}
    viewer.refresh_from_db()
    assert viewer.name != "New"


def test_null_removes_the_user_name(viewer: User, browser_of: BrowserOf) -> None:
    assert call(browser_of(viewer), "PATCH", "me", {"username": None}).json()["username"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "owner"),
        ("roles", ["owner"]),
        ("is_staff", True),
        ("isStaff", True),
        ("is_superuser", True),
        ("is_active", False),
        ("is_verified", False),
        ("email_verified", True),
        ("email_verified_at", None),
        ("email", "somebody@example.com"),
        ("id", "0199aaaa-0000-7000-8000-000000000000"),
        ("password", "another long password"),
        ("credentials_valid_from", "2020-01-01T00:00:00Z"),
        ("created_at", "2020-01-01T00:00:00Z"),
        ("groups", ["admin"]),
        ("user_permissions", [1]),
        ("user", {"role": "owner"}),
        ("$set", {"role": "owner"}),
    ],
)
def test_unknown_fields_are_rejected(
    viewer: User, browser_of: BrowserOf, field: str, value: object
) -> None:
    browser = browser_of(viewer)
    before = User.objects.filter(pk=viewer.pk).values().get()

    answer = call(browser, "PATCH", "me", {field: value})

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert User.objects.filter(pk=viewer.pk).values().get() == before


def test_the_own_record_sent_back_changes_what_may_be_changed(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    record = call(browser, "GET", "me").json()

    answer = call(browser, "PATCH", "me", record | {"name": "Vera New"})

    assert answer.json() == record | {"name": "Vera New"}


def test_a_list_of_json_patch_is_refused(viewer: User, browser_of: BrowserOf) -> None:
    body = [{"op": "replace", "path": "/role", "value": "owner"}]

    assert problem(call(browser_of(viewer), "PATCH", "me", body)) == (402, "record_invalid")


def test_a_taken_user_name_is_reported_by_field(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    answer = call(browser_of(editor), "PATCH", "me", {"username": "VERA"})

    assert problem(answer) == (402, "record_invalid")
    assert answer.json()["errors"] == {"username": ["Another account has this user name."]}


def test_a_change_without_the_csrf_token_is_rejected(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies

    answer = strict.patch(f"{API}/me", {"name": "x"}, content_type="application/json")

    assert problem(answer) == (403, "csrf_failed")
    assert call(strict, "PATCH", "me", {"name": "x"}).status_code == 200


def test_the_csrf_token_works_without_a_page_visited_before(
    viewer: User, browser_of: BrowserOf, settings: Settings
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser_of(viewer).cookies
    del strict.cookies[settings.CSRF_COOKIE_NAME]

    assert call(strict, "PATCH", "me", {"name": "x"}).status_code == 200
    assert strict.cookies[settings.CSRF_COOKIE_NAME]["httponly"] is True


def test_deleting_the_account_needs_the_password(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)

    assert problem(call(browser, "DELETE", "me", {})) == (402, "record_invalid")
    assert problem(call(browser, "DELETE", "me", {"password": "wrong"})) == (401, "bad_credentials")
    assert call(browser, "DELETE", "me", {"password": PASSWORD}).status_code == 204
    assert not User.objects.filter(pk=viewer.pk).exists()
    assert problem(browser.get(f"{API}/me")) == (401, "not_authenticated")


def test_deleting_an_account_without_a_password_needs_its_address(
    make_user: MakeUser, stranger: Client, at_time: Callable[[timedelta], datetime]
) -> None:
    user = make_user(password=None)
    by_magic_link(user)(stranger)
    at_time(timedelta(minutes=16))
    late = call(stranger, "DELETE", "me", {"proof": user.email})
    assert problem(late) == (403, "confirmation_needed")
    assert User.objects.filter(pk=user.pk).exists()
    at_time(timedelta())

    assert call(stranger, "DELETE", "me", {"proof": user.email}).status_code == 204
    assert not User.objects.filter(pk=user.pk).exists()


def test_password_guesses_at_account_deletion_are_limited(
    viewer: User, browser_of: BrowserOf, settings: Settings
) -> None:
    browser = browser_of(viewer)
    settings.LIMITS = {**settings.LIMITS, "sign-in": (2, settings.LIMITS["sign-in"][1])}
    codes = [problem(call(browser, "DELETE", "me", {"password": "no"}))[0] for _ in range(3)]

    assert codes[-1] == 429


def test_a_key_cannot_delete_its_account(owner: User, viewer: User) -> None:
    key = made(owner, scopes=["read", "write"])
    program = Client(headers={"x-api-key": key.text})

    answer = program.delete(f"{API}/me", {"password": PASSWORD}, content_type="application/json")

    assert problem(answer) == (403, "forbidden")
    assert answer.json()["detail"] == "An API key cannot delete its account."


def test_the_last_owner_stays(owner: User, browser_of: BrowserOf) -> None:
    answer = call(browser_of(owner), "DELETE", "me", {"password": PASSWORD})

    assert problem(answer) == (403, "last_owner")
    assert User.objects.filter(pk=owner.pk).exists()


def test_deletion_can_be_switched_off(
    viewer: User, browser_of: BrowserOf, settings: Settings
) -> None:
    settings.ALLOW_ACCOUNT_DELETION = False

    answer = call(browser_of(viewer), "DELETE", "me", {"password": PASSWORD})

    assert problem(answer) == (403, "forbidden")


def test_own_sign_ins_are_listed_and_can_be_ended(viewer: User, browser_of: BrowserOf) -> None:
    here, there = browser_of(viewer), browser_of(viewer)

    listed = here.get(f"{API}/me/sessions").json()
    other = next(row for row in listed["results"] if not row["is_current"])

    assert [row["is_current"] for row in listed["results"]].count(True) == 1
    assert (listed["next"], listed["previous"]) == (None, None)
    assert {row["kind"] for row in listed["results"]} == {"browser"}
    assert other["device"] == "Firefox on Linux"
    assert other["expires_at"] > other["created_at"]
    assert call(here, "DELETE", f"me/sessions/{other['id']}").status_code == 204
    assert problem(there.get(f"{API}/me")) == (401, "not_authenticated")
    assert here.get(f"{API}/me").status_code == 200


def test_sign_ins_by_token_are_in_the_same_list(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    pair = start_by_password(viewer, timezone.now())
    theirs = start_by_password(editor, timezone.now())
    program = Client(headers={"authorization": f"Bearer {pair.access}"})

    listed = program.get(f"{API}/me/sessions").json()["results"]

    assert [(row["kind"], row["is_current"]) for row in listed] == [
        ("tokens", True),
        ("browser", False),
    ]
    assert listed[0]["id"] == str(pair.family.pk)
    answer = call(browser, "DELETE", f"me/sessions/{theirs.family.pk}")
    assert problem(answer) == (404, "not_found")
    assert call(browser, "DELETE", f"me/sessions/{pair.family.pk}").status_code == 204
    assert problem(program.get(f"{API}/me")) == (401, "token_invalid")
    assert browser.get(f"{API}/me").status_code == 200


def test_sign_ins_of_others_are_not_found(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser_of(editor)
    (theirs,) = BrowserSession.objects.filter(user=editor).values_list("public_id", flat=True)
    browser = browser_of(viewer)

    for key in (theirs, uuid.uuid4()):
        answer = call(browser, "DELETE", f"me/sessions/{key}")
        assert problem(answer) == (404, "not_found")
    assert BrowserSession.objects.filter(public_id=theirs).exists()


def test_the_export_contains_the_stored_data_without_secrets(
    viewer: User, browser_of: BrowserOf
) -> None:
    answer = browser_of(viewer).get(f"{API}/me/export")

    assert answer.json()["account"]["email"] == "viewer@example.com"
    assert answer.json()["sessions"][0]["device"] == "Firefox on Linux"
    assert "password" not in answer.json()["account"]
    assert AuditEvent.objects.filter(action="account:data:export", target_id=viewer.pk).count() == 1
