"""People see the apps that they are signed in to, and end it; administrators do the same."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.offboard import offboard
from accounts.services.privacy import export_own_data
from audit.models import AuditEvent
from core.errors import Forbidden
from oidc_provider.models import Consent
from oidc_provider.services.access import access_of, end_app_access
from tests.api.calls import call
from tests.oidc_provider.relying_party import RelyingParty, answer_of, decide, make_client
from tests.oidc_provider.test_tokens import is_dead

pytestmark = pytest.mark.django_db
PAGE = "/account/apps"
BrowserOf = Callable[[User], Client]


@pytest.fixture
def wiki(browser: Client) -> tuple[RelyingParty, dict[str, Any]]:
    """An app that the viewer has allowed, with its tokens."""
    party = RelyingParty(make_client(is_trusted=False))
    done = decide(browser, party.authorize(browser, scope="openid email"), "allow")
    tokens = party.redeem(answer_of(done)["code"]).json()
    return party, tokens


@pytest.fixture
def chat(browser: Client) -> tuple[RelyingParty, dict[str, Any]]:
    party = RelyingParty(make_client(name="Chat"))
    return party, party.sign_in(browser, scope="openid profile offline_access")


def test_the_page_shows_what_apps_may_know_and_ends_one(
    browser: Client, viewer: User, wiki: Any, chat: Any
) -> None:
    party, tokens = wiki
    page = browser.get(PAGE).content.decode()
    for text in ("Wiki", "Chat", "see your email address", "Stays signed in", "last used"):
        assert text in page
    assert f'href="{PAGE}"' in browser.get("/account/").content.decode()

    done = browser.post(f"{PAGE}/{party.app.pk}/end")

    assert (done.status_code, done["Location"]) == (303, f"{PAGE}?notice=app-ended")
    assert is_dead(party, tokens)
    assert not is_dead(*chat)
    # A double click leads to the same page, and the app has to ask again.
    assert browser.post(f"{PAGE}/{party.app.pk}/end")["Location"] == done["Location"]
    assert party.authorize(browser, prompt="none")["Location"].find("consent_required") > 0
    event = AuditEvent.objects.get(action="openid:access:end")
    assert (event.actor_id, event.target_id, event.detail["name"]) == (
        viewer.pk, viewer.pk, "Wiki",
    )  # fmt: skip
    assert [one.app.name for one in access_of(viewer)] == ["Chat"]


def test_all_apps_end_at_once(browser: Client, viewer: User, wiki: Any, chat: Any) -> None:
    assert browser.post(f"{PAGE}/end")["Location"] == f"{PAGE}?notice=apps-ended"

    assert is_dead(*wiki)
    assert is_dead(*chat)
    assert (access_of(viewer), Consent.objects.count()) == ([], 0)
    assert "You are signed in to no app" in browser.get(PAGE).content.decode()
    assert AuditEvent.objects.filter(action="openid:access:end").count() == 2
    # Whoever is signed in here stays so.
    assert browser.get("/account/").status_code == 200


def test_consent_without_a_sign_in_is_shown_and_taken_back(
    browser: Client, viewer: User, wiki: Any, stranger: Client
) -> None:
    party, tokens = wiki
    party.revoke(tokens["refresh_token"])
    [one] = access_of(viewer)
    assert (one.sign_ins, one.is_allowed, one.last_used, one.scope) == (
        0, True, None, ("openid", "email"),
    )  # fmt: skip
    assert "Take back" in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}/{party.app.pk}/end")
    assert access_of(viewer) == []
    assert browser.post(f"{PAGE}/{viewer.pk}/end").status_code == 404
    assert stranger.get(PAGE).status_code == 302


def test_an_administrator_ends_the_access_of_whom_they_may_manage(
    owner: User, admin: User, viewer: User, browser_of: BrowserOf, wiki: Any, chat: Any
) -> None:
    party, tokens = wiki
    panel = browser_of(owner)
    page = f"/admin/accounts/user/{viewer.pk}/"
    assert "out of Wiki?" in panel.get(f"{page}change/").content.decode()

    done = panel.post(f"{page}end-app-access/{party.app.pk}/")

    assert done.status_code == 302
    assert is_dead(party, tokens)
    assert not is_dead(*chat)
    event = AuditEvent.objects.get(action="openid:access:end")
    assert (event.actor_id, event.target_id) == (owner.pk, viewer.pk)
    with pytest.raises(Forbidden):
        end_app_access(actor=viewer, user=admin, app_id=chat[0].app.pk)


def test_the_api_lists_and_ends_access(
    browser: Client, owner: User, viewer: User, browser_of: BrowserOf, wiki: Any, chat: Any
) -> None:
    first, second = call(browser, "GET", "me/app-access").json()["results"]
    assert (first["name"], first["is_offline"], first["scopes"]) == (
        "Chat", True, ["openid", "profile", "offline_access"],
    )  # fmt: skip
    assert (second["app_id"], second["is_allowed"], second["sign_ins"]) == (
        str(wiki[0].app.pk), True, 1,
    )  # fmt: skip
    users = f"users/{viewer.pk}/app-access"
    assert call(browser, "GET", users).status_code == 403
    panel = browser_of(owner)
    assert len(call(panel, "GET", users).json()["results"]) == 2

    path = f"me/app-access/{wiki[0].app.pk}"
    assert call(browser, "DELETE", path).status_code == 204
    assert call(browser, "DELETE", path).status_code == 404
    assert is_dead(*wiki)
    assert call(panel, "DELETE", f"{users}/{chat[0].app.pk}").status_code == 204
    assert is_dead(*chat)
    again = chat[0].sign_in(browser)
    assert call(panel, "DELETE", users).status_code == 204
    assert is_dead(chat[0], again)
    again = chat[0].sign_in(browser)
    assert call(browser, "DELETE", "me/app-access").status_code == 204
    assert is_dead(chat[0], again)


def test_offboarding_and_the_export_of_own_data_know_apps(
    owner: User, viewer: User, wiki: Any, chat: Any
) -> None:
    data = export_own_data(viewer)
    assert [one["app"] for one in data["app_sign_ins"]] == ["Wiki", "Chat"]
    assert [one["scope"] for one in data["app_consents"]] == ["openid email"]

    report = offboard(actor=owner, user=viewer)

    [line] = [one for one in report.kinds if one.name == "app_sign_ins"]
    assert (line.count, line.accepted) == (2, 0)
    assert not Consent.objects.exists()
    assert is_dead(*wiki)
    assert is_dead(*chat)
