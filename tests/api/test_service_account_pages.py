"""The pages of people who answer for service accounts: their keys, and nobody else's."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.service_accounts import create_service_account, hand_over
from accounts.services.users import change_role, disable_user
from api.models import ApiKey
from audit.models import AuditEvent
from tests.api.keys import call_with, made
from tests.api.test_apikeys_page import KEY_FORM, key_in

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
LIST = "/account/service-accounts"


class Ground(NamedTuple):
    """The person who answers, and the account."""

    person: User
    account: User
    page: str
    browser: Client


@pytest.fixture
def ground(editor: User, browser_of: BrowserOf) -> Ground:
    account = create_service_account(
        actor=SYSTEM, username="backup", responsible=editor, name="Nightly backup"
    )
    return Ground(editor, account, f"{LIST}/{account.pk}", browser_of(editor))


def test_a_stranger_is_sent_to_the_sign_in_page(stranger: Client, ground: Ground) -> None:
    key = made(ground.account).key
    for path in (LIST, ground.page, f"{ground.page}/keys/{key.pk}/revoke"):
        answer = stranger.get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={path}")


def test_who_answers_sees_the_accounts_and_others_do_not(
    ground: Ground, viewer: User, owner: User, browser_of: BrowserOf
) -> None:
    key = made(ground.account, "nightly").key
    link = f'href="{LIST}"'

    listed = ground.browser.get(LIST).content.decode()
    shown = ground.browser.get(ground.page).content.decode()

    assert link in ground.browser.get("/account/").content.decode()
    assert "backup" in listed
    assert "1 live key" in listed
    assert str(key) in shown
    for other in (viewer, owner):
        browser = browser_of(other)
        assert link not in browser.get("/account/").content.decode()
        assert "You answer for no service account." in browser.get(LIST).content.decode()
        for path in (ground.page, f"{ground.page}/keys/{key.pk}/revoke"):
            assert (browser.get(path).status_code, browser.post(path).status_code) == (404, 404)
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_key_is_created_shown_once_and_revoked(ground: Ground) -> None:
    answer = ground.browser.post(ground.page, KEY_FORM)

    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    text = key_in(answer.content)
    assert call_with(text).json()["username"] == "backup"
    key = ApiKey.objects.get()
    event = AuditEvent.objects.get(action="api:key:create")
    assert (event.actor_id, event.target_id) == (ground.person.pk, ground.account.pk)
    assert text[15:-4] not in ground.browser.get(ground.page).content.decode()
    wrong = ground.browser.post(ground.page, {**KEY_FORM, "name": "", "scopes": ["users"]})
    assert (wrong.status_code, ApiKey.objects.count()) == (400, 1)

    path = f"{ground.page}/keys/{key.pk}/revoke"
    assert "the service account backup" in ground.browser.get(path).content.decode()
    done = ground.browser.post(path)
    assert (done.status_code, done["Location"]) == (303, f"{LIST}?notice=key-revoked")
    key.refresh_from_db()
    assert key.revoked_at is not None
    refused = call_with(text)
    assert (refused.status_code, refused.json()["code"]) == (403, "api_key_invalid")


def test_a_role_above_the_own_allows_revoking_only(ground: Ground) -> None:
    change_role(actor=SYSTEM, user=ground.account, role="admin")
    key = made(User.objects.get(pk=ground.account.pk), "nightly").key

    page = ground.browser.get(ground.page).content.decode()
    refused = ground.browser.post(ground.page, KEY_FORM)
    done = ground.browser.post(f"{ground.page}/keys/{key.pk}/revoke")

    assert "Its role is above yours" in page
    assert 'name="scopes"' not in page
    assert (refused.status_code, ApiKey.objects.count()) == (403, 1)
    assert done.status_code == 303


def test_a_disabled_account_and_one_that_was_handed_over_get_no_key(
    ground: Ground, owner: User
) -> None:
    disable_user(actor=SYSTEM, user=ground.account)
    page = ground.browser.get(ground.page).content.decode()
    assert "The account is disabled, so it gets no keys." in page
    assert ground.browser.post(ground.page, KEY_FORM).status_code == 403

    hand_over(actor=SYSTEM, user=ground.account, responsible=owner)
    assert ground.browser.post(ground.page, KEY_FORM).status_code == 404
    assert not ApiKey.objects.exists()
