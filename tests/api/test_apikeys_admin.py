"""API keys in the admin panel."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.services.sessions import revoke_credentials
from api.apikeys.services import revoke_key
from api.models import ApiKey
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
LIST = "/admin/api/apikey/"


def names(answer: Any) -> set[str]:
    """The names of the keys in a list."""
    assert answer.status_code == 200
    return {key.name for key in answer.context["cl"].result_list}


def act(browser: Client, keys: list[str]) -> list[str]:
    """Revoke what is ticked; the messages that follow."""
    ticked = {"action": "revoke_chosen", "_selected_action": keys, "index": "0"}
    browser.post(LIST, ticked)
    return [str(message) for message in browser.get(LIST).context["messages"]]


@pytest.mark.parametrize(
    ("role", "status"),
    [("none", 403), ("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)],
)
def test_the_table_opens_only_for_administrators(
    make_user: Callable[..., User], browser_of: BrowserOf, viewer: User, role: str, status: int
) -> None:
    key, browser = made(viewer).key, browser_of(make_user(role))

    assert browser.get(LIST).status_code == status
    assert browser.get(f"{LIST}{key.pk}/change/").status_code == status
    forged = browser.post(f"{LIST}{key.pk}/change/", {"name": "forged", "scopes": '["users"]'})
    assert forged.status_code == 403
    assert browser.post(f"{LIST}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.get().name == "script"


def test_neither_key_nor_digest_is_shown(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    issued, browser = made(viewer, networks=["192.0.2.0/24"]), browser_of(admin)

    pages = [browser.get(path) for path in (LIST, f"{LIST}{issued.key.pk}/change/")]

    for page in pages:
        text = page.content.decode()
        assert str(issued.key) in text
        assert issued.text[15:-4] not in text
        assert issued.key.digest not in text
    assert "192.0.2.0/24" in pages[1].content.decode()


def test_the_table_takes_few_queries(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    counts = []
    for number in (2, 20):
        for _number in range(number):
            made(viewer)
        with CaptureQueriesContext(connection) as queries:
            browser.get(LIST)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 9


def test_states_filter(admin: User, viewer: User, editor: User, browser_of: BrowserOf) -> None:
    made(editor, "ended")
    revoke_credentials(editor, "password changed")
    made(viewer, "live")
    revoke_key(actor=viewer, key=made(viewer, "revoked").key)
    past = timezone.now() - timedelta(hours=1)
    ApiKey.objects.filter(pk=made(viewer, "expired").key.pk).update(expires_at=past)
    browser = browser_of(admin)

    for state in ("live", "revoked", "expired", "ended"):
        assert names(browser.get(LIST, {"state": state})) == {state}
    assert len(names(browser.get(LIST, {"state": "x"}))) == 4


def test_keys_are_found_by_id_and_owner(
    admin: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    wanted, browser = made(viewer, "wanted"), browser_of(admin)
    made(editor, "other")

    for text in (
        wanted.key.pk,
        str(wanted.key),
        f"gth_{wanted.key.pk}",
        wanted.text,
        "viewer@example.com",
        "Vera",
    ):
        assert names(browser.get(LIST, {"q": text})) == {"wanted"}, text
    for text in (wanted.key.digest, wanted.text[15:58], "nobody"):
        assert names(browser.get(LIST, {"q": text})) == set()


def test_arbitrary_columns_cannot_be_filtered(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    key, browser = made(viewer).key, browser_of(admin)

    answer = browser.get(LIST, {"digest__startswith": key.digest[:1]})

    assert answer.status_code == 400


def test_administrators_revoke_only_keys_of_lower_ranks(
    admin: User, owner: User, viewer: User, browser_of: BrowserOf
) -> None:
    theirs, higher = made(viewer), made(owner)
    gone = made(viewer)
    revoke_key(actor=viewer, key=gone.key)

    said = act(browser_of(admin), [theirs.key.pk, higher.key.pk, gone.key.pk])

    assert said[0] == "1 key is revoked."
    assert sorted(said[1:]) == [
        "Skipped 1: Not found.",
        "Skipped 1: You may only manage people whose role is below your own.",
    ]
    assert call_with(theirs.text).status_code == 403
    assert call_with(higher.text).status_code == 200


@pytest.mark.parametrize("tick", ["x", "", "' OR 1=1", "\x00", "a" * 500])
def test_selections_that_are_no_ids_change_nothing(
    admin: User, viewer: User, browser_of: BrowserOf, tick: str
) -> None:
    key = ApiKey.objects.get(pk=made(viewer).text[4:14])

    said = act(browser_of(admin), [key.pk, tick])

    assert said == ["Nothing was changed: please tick at most 500 rows of the list."]
    assert ApiKey.objects.get().revoked_at is None


@pytest.mark.parametrize("key_id", ["%00", "x", "AAAAAAAAAA", "_5F_5F"])
def test_an_unknown_id_redirects_to_the_list(
    admin: User, browser_of: BrowserOf, key_id: str
) -> None:
    answer = browser_of(admin).get(f"{LIST}{key_id}/change/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.parametrize("value", [{}, "", 5])
def test_a_key_whose_row_cannot_be_read_is_listed(
    admin: User, viewer: User, browser_of: BrowserOf, value: Any
) -> None:
    key = ApiKey.objects.get(pk=made(viewer).text[4:14])
    ApiKey.objects.filter(pk=key.pk).update(networks=value, scopes=value)
    browser = browser_of(admin)
    answer = browser.get(LIST)

    assert names(answer) == {key.name}
    assert answer.content.decode().count("cannot be read") == 1
    page = browser.get(f"{LIST}{key.pk}/change/").content.decode()
    assert page.count("cannot be read") == 2
