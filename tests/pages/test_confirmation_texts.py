"""Every page that asks before it takes something away: it names the object and the consequence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from federation.models import ExternalIdentity
from federation.providers import Provider, SignInSource
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from mfa.models import Authenticator
from tests.api.keys import made
from tests.conftest import MakeUser
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
LIST = "/admin/accounts/user/"


class Page(NamedTuple):
    """The text of a page, and what must stand in it."""

    text: str
    names: tuple[str, ...]
    consequence: str


Open = Callable[[Client, User, User], Page]


def text_of(answer: object) -> str:
    content: bytes = answer.content  # type: ignore[attr-defined]  # of the test client
    return " ".join(content.decode().split())


def _key(page: str, consequence: str) -> Open:
    def opened(browser: Client, owner: User, _anna: User) -> Page:
        key = made(owner, "backup script").key
        text = text_of(browser.get(f"/account/keys/{key.pk}/{page}"))
        return Page(text, ("backup script", str(key)), consequence)

    return opened


def _own(path: str, consequence: str) -> Open:
    def opened(browser: Client, owner: User, _anna: User) -> Page:
        return Page(text_of(browser.get(path)), (owner.email,), consequence)

    return opened


def _app(browser: Client, owner: User, _anna: User) -> Page:
    set_up_app(owner)
    owner.authenticators.update(name="Olga's phone")
    page = text_of(browser.get("/account/authenticator/remove"))
    return Page(page, ("Olga&#x27;s phone",), "your recovery codes stop working")


def _passkey(browser: Client, owner: User, _anna: User) -> Page:
    row = Authenticator.objects.create(
        user=owner, kind="passkey", name="Olga's key", credential_id="x"
    )
    page = text_of(browser.get(f"/account/passkeys/{row.pk}/remove"))
    return Page(page, ("Olga&#x27;s key",), "You cannot sign in with this passkey any more.")


def _provider(browser: Client, owner: User, _anna: User) -> Page:
    row = ExternalIdentity.objects.create(
        user=owner, provider="google", subject="g-1", email="olga@gmail.example"
    )
    page = text_of(browser.get(f"/account/identities/{row.pk}/disconnect"))
    names = ("Disconnect Google?", "olga@gmail.example")
    return Page(page, names, "Your account stays, and every other device is signed out.")


def _bulk(action: str, consequence: str) -> Open:
    def opened(browser: Client, _owner: User, anna: User) -> Page:
        ticked = {"action": action, ACTION_CHECKBOX_NAME: str(anna.pk)}
        return Page(text_of(browser.post(LIST, ticked)), ("Anna Berg", anna.email), consequence)

    return opened


def _user(page: str, consequence: str) -> Open:
    def opened(browser: Client, _owner: User, anna: User) -> Page:
        path = f"{LIST}{anna.pk}/{page}/"
        answer = browser.get(path) if page == "delete" else browser.post(path)
        return Page(text_of(answer), ("Anna Berg", anna.email), consequence)

    return opened


def _rule(browser: Client, _owner: User, _anna: User) -> Page:
    rule = create_rule(actor=SYSTEM, rule=AccessRule(name="The shop", effect="public"))
    page = text_of(browser.get(f"/admin/forward_auth/accessrule/{rule.pk}/delete/"))
    return Page(page, ("The shop",), "It stops applying at once.")


KEYS_STOP = "their links and API keys stop working at once. This cannot be undone."
PAGES: dict[str, Open] = {
    "sign out": _own("/sign-out", "on this device"),
    "delete the own account": _own("/account/delete", "its API keys stop working at once"),
    "revoke a key": _key("revoke", "every program that uses it is refused"),
    "rotate a key": _key("rotate", "with the same scopes, networks and lifetime"),
    "remove the app": _app,
    "remove a passkey": _passkey,
    "disconnect a provider": _provider,
    "delete a user": _user("delete", KEYS_STOP),
    "offboard a user": _user("offboard", "everything listed here ends at once"),
    "reset factors": _user("reset-factors", "The people are signed out everywhere"),
    "delete users": _bulk("delete_selected", KEYS_STOP),
    "disable users": _bulk("disable_people", "their API keys stop working"),
    "sign users out": _bulk("end_sessions_people", "links that were not used yet stop working"),
    "start resets": _bulk("start_reset_of_people", "The old password stops working"),
    "change roles": _bulk("change_role_of_people", "A changed role signs them out everywhere."),
    "set an end": _bulk("set_end_of_people", "Their accounts are disabled then."),
    "ban users": _bulk("ban_people", "cannot sign in until the ban ends"),
    "delete a rule": _rule,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_asks_names_the_object_and_the_consequence(
    name: str, owner: User, make_user: MakeUser, browser_of: BrowserOf, settings: Any
) -> None:
    google = SignInSource("google", "Google")
    settings.SIGN_IN_PROVIDERS = (Provider(google, kind="google", client_id="x"),)
    anna = make_user("viewer", "anna@example.com", name="Anna Berg")
    set_up_app(anna)

    page = PAGES[name](browser_of(owner), owner, anna)

    missing = [text for text in (*page.names, page.consequence) if text not in page.text]
    assert missing == [], page.text
    assert "Cancel" in page.text or "Stay signed in" in page.text
