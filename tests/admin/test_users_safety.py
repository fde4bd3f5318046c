"""Forged, late and wrong requests to the user pages change nothing."""

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from tests.admin.conftest import LIST, BrowserOf, edited, page_of
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
BUTTONS = ["reset", "disable", "enable", "end-sessions", "verify"]


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
@pytest.mark.parametrize("name", BUTTONS)
def test_a_button_accepts_only_post(
    owner: User, viewer: User, browser_of: BrowserOf, name: str, method: str
) -> None:
    browser = browser_of(owner)
    before = User.objects.filter(pk=viewer.pk).values().get()

    answer = getattr(browser, method)(page_of(viewer, name))

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert User.objects.filter(pk=viewer.pk).values().get() == before


@pytest.mark.parametrize("name", BUTTONS)
def test_a_button_of_an_unknown_user_is_not_found(
    owner: User, browser_of: BrowserOf, name: str
) -> None:
    assert browser_of(owner).post(f"{LIST}{uuid.UUID(int=7)}/{name}/").status_code == 404


@pytest.mark.parametrize("key", ["x", "1", "%00", "__", str(uuid.UUID(int=7))])
@pytest.mark.parametrize("page", ["change", "delete"])
def test_a_page_of_an_unknown_user_redirects(
    owner: User, browser_of: BrowserOf, key: str, page: str
) -> None:
    answer = browser_of(owner).get(f"{LIST}{key}/{page}/")

    assert answer.status_code == 302


def _posts(user: User) -> dict[str, dict[str, Any]]:
    ticked = {"_selected_action": str(user.pk), "index": "0"}
    confirmed = {"_selected_action": str(user.pk), "confirmed": "yes"}
    return {
        f"{LIST}add/": {"email": "new@example.com", "role": "viewer"},
        page_of(user): edited(user, name="Changed", role="none"),
        page_of(user, "delete"): {"post": "yes"},
        LIST: ticked | {"action": "disable_people"},
        f"{LIST}?role=viewer": confirmed | {"action": "delete_selected"},
    } | {page_of(user, name): {"x": "y"} for name in BUTTONS}


def _state(user: User) -> tuple[Any, int, int]:
    row = User.objects.filter(pk=user.pk).values().first()
    return row, User.objects.count(), AuditEvent.objects.count()


def test_a_post_without_the_csrf_token_is_refused(owner: User, viewer: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    page = browser.get("/sign-in")
    token = page.context["csrf_token"]
    signed_in = browser.post(
        "/sign-in",
        {"login": owner.email, "password": PASSWORD, "csrfmiddlewaretoken": str(token)},
        headers={"origin": "http://testserver"},
    )
    assert signed_in.status_code == 302
    before = _state(viewer)

    statuses = {url: browser.post(url, data).status_code for url, data in _posts(viewer).items()}

    assert set(statuses.values()) == {403}, statuses
    assert _state(viewer) == before


@pytest.mark.parametrize(
    ("change", "status"),
    [({"is_active": False}, 302), ({"role": "editor"}, 403), ({"role": "none"}, 403)],
)
def test_an_administrator_who_lost_their_rights_is_denied_at_once(
    admin: User, viewer: User, browser_of: BrowserOf, change: dict[str, Any], status: int
) -> None:
    browser = browser_of(admin)
    assert browser.get(LIST).status_code == 200
    User.objects.filter(pk=admin.pk).update(**change)
    before = _state(viewer)

    statuses = {url: browser.post(url, data).status_code for url, data in _posts(viewer).items()}

    assert set(statuses.values()) == {status}, statuses
    assert _state(viewer) == before


def test_a_user_promoted_since_the_page_was_opened_cannot_be_changed(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    browser.get(page_of(viewer))
    User.objects.filter(pk=viewer.pk).update(role="owner")

    answer = browser.post(page_of(viewer), edited(viewer, name="Changed"))

    assert answer.status_code == 403
    viewer.refresh_from_db()
    assert (viewer.role, viewer.name) == ("owner", "Vera Viewer")


def test_names_are_escaped(owner: User, viewer: User, browser_of: BrowserOf) -> None:
    User.objects.filter(pk=viewer.pk).update(name="<script>alert(1)</script>")
    browser = browser_of(owner)

    for url in (LIST, page_of(viewer), page_of(viewer, "delete")):
        assert "<script>alert(1)" not in browser.get(url).content.decode()
