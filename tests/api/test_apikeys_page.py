"""The page /account/keys: works without scripts, shows a key once, and only own keys."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services.sessions import revoke_credentials
from api.apikeys.services import revoke_key, rotate_key
from api.models import ApiKey, TokenFamily
from tests.api.keys import call_with, made
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE = "/account/keys"
KEY_FORM = {"name": "backup script", "scopes": ["read"], "life": "30"}


def key_in(content: bytes) -> str:
    """The one key on a page."""
    (text,) = re.findall(r"gth_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}", content.decode())
    return str(text)


def test_a_stranger_is_sent_to_the_sign_in_page(stranger: Client, viewer: User) -> None:
    key = made(viewer).key
    for path in (PAGE, f"{PAGE}/{key.pk}/revoke", f"{PAGE}/{key.pk}/rotate"):
        for answer in (stranger.get(path), stranger.post(path)):
            assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={path}")
    assert ApiKey.objects.get().revoked_at is None


def test_the_account_page_links_to_the_keys(viewer: User, browser_of: BrowserOf) -> None:
    assert f'href="{PAGE}"' in browser_of(viewer).get("/account/").content.decode()


def test_a_new_key_is_shown_once(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)

    answer = browser.post(PAGE, KEY_FORM)

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    text = key_in(answer.content)
    assert call_with(text).json()["email"] == "viewer@example.com"
    row = ApiKey.objects.get()
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    for path in (PAGE, "/account/", f"{PAGE}/{row.pk}/revoke", f"{PAGE}/{row.pk}/rotate"):
        assert text[15:-4] not in browser.get(path).content.decode()
    assert str(row) in browser.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("viewer", ["read"]),
        ("editor", ["read", "write"]),
        ("owner", ["read", "write", "users", "moderation", "service", "scim"]),
    ],
)
def test_only_scopes_of_the_role_are_offered(
    make_user: Callable[..., User], browser_of: BrowserOf, role: str, offered: list[str]
) -> None:
    browser = browser_of(make_user(role))
    page = read(browser.get(PAGE).content)

    boxes = [box for box in page.all("input") if box.attributes.get("name") == "scopes"]

    assert [box.attributes["value"] for box in boxes] == offered
    assert [box.attributes["value"] for box in boxes if "checked" in box.attributes] == ["read"]
    if role != "owner":
        assert browser.post(PAGE, {**KEY_FORM, "scopes": ["users"]}).status_code == 400
        assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "a\u202eb"}, "Enter a name of 1 to 80 characters."),
        ({"scopes": []}, "Choose at least one."),
        ({"scopes": ["root"]}, "Select a valid choice."),
        ({"life": "forever"}, "Select a valid choice."),
        ({"life": "never"}, "Select a valid choice."),
        ({"life": "date"}, "Choose the last day."),
        ({"life": "date", "date": "2020-01-01"}, "Choose a time in the future."),
        ({"life": "date", "date": "9999-12-31"}, "Choose an end not later than"),
        ({"life": "date", "date": "0001-01-01"}, "Choose a time in the future."),
        ({"networks": "10.0.0.0/8\nhome"}, "“home” is not a network."),
        ({"networks": "10.0.0.0/8 " * 300}, "Ensure this value has at most"),
    ],
)
def test_an_invalid_form_names_the_field_and_creates_nothing(
    viewer: User, browser_of: BrowserOf, change: dict[str, Any], words: str
) -> None:
    answer = browser_of(viewer).post(PAGE, {**KEY_FORM, **change})

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_networks_are_separated_by_lines_or_commas(viewer: User, browser_of: BrowserOf) -> None:
    browser_of(viewer).post(
        PAGE, {**KEY_FORM, "networks": "10.0.0.0/8\r\n192.0.2.1, 2001:db8::/32"}
    )

    assert ApiKey.objects.get().networks == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]


def test_a_key_is_valid_through_its_last_day(viewer: User, browser_of: BrowserOf) -> None:
    day = timezone.localdate() + timedelta(days=10)

    browser_of(viewer).post(PAGE, {**KEY_FORM, "life": "date", "date": day.isoformat()})

    end = ApiKey.objects.get().expires_at
    assert end is not None
    assert timezone.localtime(end).replace(tzinfo=None).isoformat() == f"{day}T23:59:59"


def test_no_expiry_is_offered_if_there_is_no_maximum_age(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.API_KEY_MAX_AGE = timedelta(0)

    assert browser_of(viewer).post(PAGE, {**KEY_FORM, "life": "never"}).status_code == 200

    assert ApiKey.objects.get().expires_at is None


def test_only_lifetimes_within_the_maximum_are_offered(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.API_KEY_MAX_AGE = timedelta(days=30)
    page = read(browser_of(viewer).get(PAGE).content)

    values = [option.attributes["value"] for option in page.all("option")]

    assert values == ["7", "30", "date"]


def test_the_list_shows_the_state_of_each_key(
    viewer: User, owner: User, browser_of: BrowserOf
) -> None:
    made(viewer, "before the new password")
    revoke_credentials(viewer, "password changed")
    viewer.refresh_from_db()
    revoke_key(actor=viewer, key=made(viewer, "revoked one").key)
    rotate_key(actor=viewer, key=made(viewer, "rotated one").key)
    call_with(made(viewer, "used one", networks=["127.0.0.0/8"]).text)
    made(owner, "of somebody else")

    answer = browser_of(viewer).get(PAGE)

    page = answer.content.decode()
    states = {row["key"].name: row["state"] for row in answer.context["keys"]}
    assert states == {
        "before the new password": "ended",
        "revoked one": "revoked",
        "rotated one": "live",
        "used one": "live",
    }
    for words in ("Ended", "Revoked", "Being replaced", "Live", "from 127.0.0.1", "127.0.0.0/8"):
        assert words in page
    assert "of somebody else" not in page


def test_a_key_is_revoked_after_confirmation(viewer: User, browser_of: BrowserOf) -> None:
    issued, browser = made(viewer), browser_of(viewer)
    path = f"{PAGE}/{issued.key.pk}/revoke"

    question = browser.get(path)
    assert question.status_code == 200
    assert ApiKey.objects.get().revoked_at is None
    done = browser.post(path, follow=True)

    assert done.redirect_chain == [(f"{PAGE}?notice=key-revoked", 303)]
    assert "The key is revoked." in done.content.decode()
    assert call_with(issued.text).status_code == 403
    assert browser.post(path)["Location"] == f"{PAGE}?notice=key-revoked"
    assert browser_of(viewer).post(path).status_code == 404


def test_a_key_is_rotated_after_confirmation(viewer: User, browser_of: BrowserOf) -> None:
    old, browser = made(viewer, "nightly"), browser_of(viewer)
    path = f"{PAGE}/{old.key.pk}/rotate"

    assert browser.get(path).status_code == 200
    assert ApiKey.objects.count() == 1
    answer = browser.post(path, {"overlap": "1"})

    assert answer["Cache-Control"] == "no-store"
    new = key_in(answer.content)
    assert [call_with(text).status_code for text in (old.text, new)] == [200, 200]
    row = ApiKey.objects.get(pk=old.key.pk)
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - timedelta(hours=1)) < timedelta(minutes=1)
    again = browser.post(path, {"overlap": "1"})
    assert again.status_code == 400
    assert "rotated or revoked already" in again.content.decode()


def test_an_overlap_of_zero_is_reported(viewer: User, browser_of: BrowserOf) -> None:
    old = made(viewer)

    answer = browser_of(viewer).post(f"{PAGE}/{old.key.pk}/rotate", {"overlap": "0"})

    assert "The old key has ended." in answer.content.decode()
    assert call_with(old.text).status_code == 403


@pytest.mark.parametrize("act", ["revoke", "rotate"])
def test_keys_of_others_are_not_found(
    viewer: User, owner: User, browser_of: BrowserOf, act: str
) -> None:
    key, browser = made(viewer).key, browser_of(owner)

    for path in (f"{PAGE}/{key.pk}/{act}", f"{PAGE}/unknown/{act}"):
        assert browser.get(path).status_code == 404
        assert browser.post(path, {"overlap": "0"}).status_code == 404
    assert ApiKey.objects.filter(revoked_at=None, rotated_at=None).count() == 1


def test_a_forged_form_creates_and_revokes_nothing(viewer: User, browser_of: BrowserOf) -> None:
    key = made(viewer).key
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = browser_of(viewer).cookies

    answers = [
        browser.post(path, {**KEY_FORM, "overlap": "0"})
        for path in (PAGE, f"{PAGE}/{key.pk}/revoke", f"{PAGE}/{key.pk}/rotate")
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert ApiKey.objects.filter(revoked_at=None, rotated_at=None).count() == 1


def test_a_key_name_is_escaped(viewer: User, browser_of: BrowserOf) -> None:
    key = made(viewer, "<b>bold</b>").key
    browser = browser_of(viewer)

    for path in (PAGE, f"{PAGE}/{key.pk}/revoke", f"{PAGE}/{key.pk}/rotate"):
        page = browser.get(path).content.decode()
        assert "<b>bold" not in page
        assert "&lt;b&gt;bold" in page


def test_a_signed_in_program_is_listed_and_can_be_signed_out(
    viewer: User, owner: User, browser_of: BrowserOf
) -> None:
    end = timezone.now() + timedelta(days=7)
    mine = TokenFamily.objects.create(
        user=viewer, seed="s" * 43, expires_at=end, ip="192.0.2.7", user_agent="backup/1.0"
    )
    theirs = TokenFamily.objects.create(user=owner, seed="t" * 43, expires_at=end, ip="192.0.2.8")
    browser = browser_of(viewer)
    page = browser.get(PAGE).content.decode()
    assert "192.0.2.7" in page
    assert "192.0.2.8" not in page

    done = browser.post(f"{PAGE}/programs/{mine.pk}/end", follow=True)
    other = browser.post(f"{PAGE}/programs/{theirs.pk}/end")

    assert done.redirect_chain == [(f"{PAGE}?notice=program-ended", 303)]
    assert "That program is signed out." in done.content.decode()
    assert other.status_code == 404
    assert browser.get(f"{PAGE}/programs/{theirs.pk}/end").status_code == 405
    living = TokenFamily.objects.filter(ended_at=None)
    assert [family.pk for family in living] == [theirs.pk]
