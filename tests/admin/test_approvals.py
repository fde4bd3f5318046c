"""Requests for a second owner in the admin: how they come about, the page, the notice."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApprovalRequest, User
from accounts.sessions.reauthentication import LIFETIME
from tests.conftest import MakeUser, messages_of

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
LIST = "/admin/accounts/approvalrequest/"
USERS = "/admin/accounts/user/"
WAITS = "A second owner must confirm this. Nothing has changed yet."


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    settings.TWO_PERSON_RULE = True


@pytest.fixture
def second(make_user: MakeUser) -> User:
    return make_user("owner", "second@example.com", name="Sven Second")


@pytest.fixture
def target(make_user: MakeUser) -> User:
    return make_user("owner", "target@example.com", name="Tara Target", username="tara")


def page_of(request: ApprovalRequest) -> str:
    return f"{LIST}{request.pk}/change/"


def form_of(user: User, **changes: str) -> dict[str, str]:
    return {"email": user.email, "name": user.name, "username": "tara", "role": "owner"} | changes


def test_a_change_on_the_page_of_an_owner_leads_to_a_request_that_another_one_confirms(
    owner: User, second: User, target: User, browser_of: BrowserOf
) -> None:
    asking, deciding = browser_of(owner), browser_of(second)

    answer = asking.post(f"{USERS}{target.pk}/change/", form_of(target, role="admin", name="T. T."))

    request = ApprovalRequest.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page_of(request))
    target.refresh_from_db()
    assert (target.role, target.name) == ("owner", "Tara Target")
    shown = asking.get(page_of(request))
    assert messages_of(shown) == [WAITS]
    assert shown.context["deciders"] == ["Sven Second", "Tara Target"]
    assert "Withdraw the request" in shown.content.decode()
    assert "Confirm and carry it out" not in shown.content.decode()

    # The second owner finds it on the overview.
    overview = deciding.get("/admin/").content.decode()
    assert "A request waits for you as second owner." in overview
    assert "Olga Owner asks: Change the account of Tara Target (target@example.com)." in overview
    assert f'href="{page_of(request)}"' in overview
    told = deciding.get(page_of(request)).content.decode()
    assert "Olga Owner asked for this." in told
    assert re.search(r"<dt>Role</dt><dd>Owner .*<strong>Admin</strong>", told)
    answer = deciding.post(f"{LIST}{request.pk}/confirm/")

    assert (answer.status_code, answer["Location"]) == (302, page_of(request))
    target.refresh_from_db()
    assert (target.role, target.name) == ("admin", "T. T.")
    assert "Decided by Sven Second." in deciding.get(page_of(request)).content.decode()
    assert "waits for you" not in deciding.get("/admin/").content.decode()


WAYS: list[tuple[str, dict[str, str], str]] = [
    ("{user}disable/", {}, "disable"),
    ("{user}delete/", {"post": "yes"}, "delete"),
    ("{user}reset/", {}, "reset-password"),
    ("{user}offboard/", {"confirmed": "yes"}, "offboard"),
    (f"{USERS}add/", {"email": "n@example.com", "role": "owner"}, "create"),
    (
        "/admin/accounts/invitation/add/",
        {"email": "n@example.com", "role": "owner", "days": "7"},
        "invite",
    ),
    (
        "/admin/moderation/ban/add/",
        {"user": "target@example.com", "duration": "24h", "reason": "spam"},
        "ban",
    ),
    (
        USERS,
        {"action": "delete_selected", "confirmed": "yes", "_selected_action": "{pk}"},
        "delete",
    ),
    (USERS, {"action": "get_login_url", "_selected_action": "{pk}"}, "link"),
]


def test_every_way_of_the_panel_leads_to_a_request(
    owner: User, target: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    for path, data, kind in WAYS:
        ApprovalRequest.objects.all().delete()
        path = path.replace("{user}", f"{USERS}{target.pk}/")
        data = {name: value.replace("{pk}", str(target.pk)) for name, value in data.items()}

        answer = browser.post(path, data, follow=True)

        request = ApprovalRequest.objects.get()
        assert (request.kind, answer.status_code) == (kind, 200)
        assert page_of(request) in answer.content.decode() + answer.request["PATH_INFO"]
        assert User.objects.filter(pk=target.pk, is_active=True, role="owner").exists()


def test_a_link_is_shown_once_to_the_owner_who_confirms(
    owner: User, second: User, target: User, browser_of: BrowserOf
) -> None:
    browser_of(owner).post(USERS, {"action": "get_login_url", "_selected_action": str(target.pk)})
    request = ApprovalRequest.objects.get()
    browser = browser_of(second)

    answer = browser.post(f"{LIST}{request.pk}/confirm/")

    (url,) = re.findall(
        r'value="(http://localhost:8000/magic-link/[^"]+)"', answer.content.decode()
    )
    assert "no-store" in answer["Cache-Control"]
    assert url not in browser.get(page_of(request)).content.decode()
    assert url not in str(list(ApprovalRequest.objects.values()))


def test_deciding_needs_the_right_owner_and_recent_authentication(
    owner: User, second: User, target: User, admin: User, browser_of: BrowserOf, at_time: Any
) -> None:
    asking, other, administrator = browser_of(owner), browser_of(second), browser_of(admin)
    asking.post(f"{USERS}{target.pk}/disable/")
    request = ApprovalRequest.objects.get()

    assert administrator.get(LIST).status_code == 403
    assert administrator.get(page_of(request)).status_code == 403
    assert administrator.post(f"{LIST}{request.pk}/confirm/").status_code == 403
    answer = asking.post(f"{LIST}{request.pk}/confirm/", follow=True)
    assert messages_of(answer)[-1] == "You asked for this. Another owner must decide about it."
    at_time(LIFETIME)
    answer = other.post(f"{LIST}{request.pk}/confirm/", follow=True)
    assert "Confirm as second owner: Disable the account of Tara Target" in answer.content.decode()
    request.refresh_from_db()
    assert request.state == "open"
    # Declining carries nothing out.
    other.post(f"{LIST}{request.pk}/decline/")
    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("declined", second)
    target.refresh_from_db()
    assert target.is_active
