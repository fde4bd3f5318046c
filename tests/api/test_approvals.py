"""/api/v1/approvals: an act on an owner answers 202, and a second owner decides about it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApprovalRequest, User
from accounts.services.users import disable_user
from audit.models import AuditEvent
from mfa.models import Authenticator
from tests.api.calls import call, from_now, problem
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    settings.TWO_PERSON_RULE = True


@pytest.fixture
def second(make_user: MakeUser) -> User:
    return make_user("owner", "second@example.com", name="Sven Second")


@pytest.fixture
def target(make_user: MakeUser) -> User:
    user = make_user("owner", "target@example.com", name="Tara Target")
    Authenticator.objects.create(user=user, kind="totp", name="App", sealed_secret="x")
    return user


CALLS: list[tuple[str, str, Any, str]] = [
    ("PATCH", "users/{id}", {"role": "admin"}, "change"),
    ("PATCH", "users/{id}", {"is_active": False}, "change"),
    ("PATCH", "users/{id}", {"email": "x@example.com"}, "change"),
    ("PATCH", "users/{id}", {"expires_at": from_now(days=1)}, "change"),
    ("DELETE", "users/{id}", None, "delete"),
    ("POST", "users", {"email": "n@example.com", "role": "owner"}, "create"),
    ("POST", "invitations", {"email": "n@example.com", "role": "owner"}, "invite"),
    ("POST", "users/{id}/magic-link", {}, "link"),
    ("POST", "users/{id}/password", {}, "reset-password"),
    ("DELETE", "users/{id}/second-factors", None, "reset-factors"),
    ("POST", "users/{id}/ban", {"reason": "spam"}, "ban"),
    ("POST", "users/{id}/offboard", {}, "offboard"),
]


def test_each_call_about_an_owner_answers_202_with_the_request(
    owner: User, second: User, target: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    for method, path, body, kind in CALLS:
        ApprovalRequest.objects.all().delete()
        before = list(User.objects.order_by("pk").values("role", "is_active", "email"))

        answer = call(browser, method, path.replace("{id}", str(target.pk)), body)

        request = ApprovalRequest.objects.get()
        page = f"http://localhost:8000/admin/accounts/approvalrequest/{request.pk}/change/"
        assert answer["Content-Type"] == "application/json"
        assert answer.json() == {
            "type": "http://localhost:8000/api/v1/docs#two_person_required",
            "title": "A second owner must confirm this",
            "status": 202,
            "detail": "A second owner must confirm this. Nothing has changed yet.",
            "code": "two_person_required",
            "id": str(request.pk),
            "url": page,
            "expires_at": request.expires_at.isoformat(),
        }, (method, path, kind)
        assert (answer.status_code, request.kind) == (202, kind)
        assert list(User.objects.order_by("pk").values("role", "is_active", "email")) == before


def test_another_owner_reads_confirms_and_gets_the_link(
    owner: User, second: User, target: User, browser_of: BrowserOf
) -> None:
    asking, deciding = browser_of(owner), browser_of(second)
    key = call(asking, "POST", f"users/{target.pk}/magic-link", {}).json()["id"]

    (listed,) = call(deciding, "GET", "approvals?state=open").json()["results"]
    assert listed == call(deciding, "GET", f"approvals/{key}").json()
    assert (listed["kind"], listed["state"], listed["may_decide"]) == ("link", "open", True)
    assert listed["sentence"] == "Make a sign-in link for Tara Target (target@example.com)"
    assert (listed["asked_by_email"], listed["deciders"]) == (
        owner.email, [second.email, target.email],
    )  # fmt: skip
    assert call(asking, "GET", f"approvals/{key}").json()["may_decide"] is False
    path = f"approvals/{key}/confirm"
    assert problem(call(asking, "POST", path)) == (403, "forbidden")
    done = call(deciding, "POST", path)

    assert done.status_code == 200
    assert done.json()["state"] == "confirmed"
    assert done.json()["link"].startswith("http://localhost:8000/magic-link/")
    assert done.json()["decided_by"] == str(second.pk)
    assert problem(call(deciding, "POST", path)) == (409, "request_closed")
    assert "magic-link" not in call(deciding, "GET", f"approvals/{key}").content.decode()
    issued = AuditEvent.objects.get(action="link:login:issue")
    assert (issued.actor_id, issued.detail["confirmed_by"]) == (owner.pk, str(second.pk))


def test_declining_withdrawing_expiring_and_whom_it_is_for(
    owner: User, second: User, target: User, admin: User, browser_of: BrowserOf
) -> None:
    asking, deciding = browser_of(owner), browser_of(second)

    def ask() -> str:
        return str(call(asking, "DELETE", f"users/{target.pk}").json()["id"])

    key = ask()
    assert problem(call(browser_of(admin), "GET", "approvals")) == (403, "forbidden")
    assert problem(call(deciding, "POST", f"approvals/{key}/withdraw")) == (403, "forbidden")
    assert call(deciding, "POST", f"approvals/{key}/decline").json()["state"] == "declined"
    key = ask()
    assert call(asking, "POST", f"approvals/{key}/withdraw").json()["state"] == "withdrawn"
    key = ask()
    ApprovalRequest.objects.filter(pk=key).update(expires_at=timezone.now())
    assert problem(call(deciding, "POST", f"approvals/{key}/confirm")) == (409, "request_closed")
    (over,) = call(deciding, "GET", "approvals?state=expired").json()["results"]
    assert (over["id"], over["state"], over["deciders"]) == (key, "expired", [])
    assert call(deciding, "GET", "approvals?state=open").json()["results"] == []
    assert User.objects.filter(pk=target.pk).exists()


def test_undo_answers_202_as_well(
    owner: User, second: User, target: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.TWO_PERSON_RULE = False
    disable_user(actor=owner, user=target)
    settings.TWO_PERSON_RULE = True
    seq = AuditEvent.objects.get(action="account:user:disable").seq

    answer = call(browser_of(owner), "POST", f"audit-events/{seq}/undo")

    assert (answer.status_code, answer.json()["code"]) == (202, "two_person_required")
    assert ApprovalRequest.objects.get().kind == "undo"
    target.refresh_from_db()
    assert not target.is_active
