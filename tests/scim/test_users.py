"""/Users: the requirements of RFC 7644 for one resource, and what a disabled account may still do.

The section of the standard stands beside each requirement.
"""

from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler

from accounts.models import BrowserSession, User
from accounts.services import users as services
from audit.models import AuditEvent
from core.invalidation.data_version import current_data_version
from forward_auth.checker import Checker
from forward_auth.wsgi import FastPath
from mail.models import OutboxMail
from scim.models import ScimUser
from tests.api.keys import call_with, made
from tests.api.tokens import me, outcome, refreshed, sign_in
from tests.forward_auth.test_wsgi import BOARD, _ask, _environ
from tests.scim.client import ScimClient, client_of, patch_of, refusal, service_client, user_of

pytestmark = pytest.mark.django_db
ANNA: dict[str, Any] = {
    "externalId": "701984",
    "name": {"givenName": "Anna", "familyName": "Berg"},
    "displayName": "Anna Berg",
    "emails": [
        {"value": "anna@home.example", "type": "home"},
        {"value": "Anna.Berg@example.com", "type": "work", "primary": True},
    ],
    "active": True,
}


def actions(user: User) -> list[str]:
    """What the audit log says about the user, in order."""
    return [row.action for row in AuditEvent.objects.filter(target_id=user.pk).order_by("seq")]


def created(scim: ScimClient, name: str = "anna@contoso.com", **more: Any) -> dict[str, Any]:
    answer = scim.post("/Users", user_of(name, **(more or ANNA)))
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_user_is_created_shown_and_audited(admin: User, scim: ScimClient) -> None:
    answer = scim.post("/Users", user_of("Anna@contoso.com", title="Dr", **ANNA))  # 3.3
    body = answer.json()
    user = User.objects.get(email="anna.berg@example.com")

    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/scim+json"  # 3.1
    location = f"http://localhost:8000/scim/v2/Users/{user.pk}"
    assert answer["Location"] == body["meta"]["location"] == location  # 3.3
    assert answer["ETag"] == body["meta"]["version"]  # 3.14
    assert body == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": str(user.pk),
        "externalId": "701984",
        "userName": "Anna@contoso.com",
        "name": {"formatted": "Anna Berg", "familyName": "Berg", "givenName": "Anna"},
        "displayName": "Anna Berg",
        "active": True,
        "emails": [{"value": "anna.berg@example.com", "type": "work", "primary": True}],
        "roles": [{"value": "viewer", "primary": True}],
        "meta": {
            "resourceType": "User",
            "created": user.created_at.isoformat(),
            "location": location,
            "version": answer["ETag"],
        },
    }
    assert scim.get(f"/Users/{user.pk}").json() == body  # 3.4.1
    assert (user.role, user.is_verified, user.has_usable_password()) == ("viewer", True, False)
    assert OutboxMail.objects.filter(recipient=user.email).count() == 0
    rows = AuditEvent.objects.filter(target_id=user.pk).order_by("seq")
    assert [(row.action, row.actor_id) for row in rows] == [
        ("account:user:create", admin.pk),
        ("scim:user:link", admin.pk),
    ]
    assert rows[0].detail["source"] == "scim"


def test_a_name_is_unique_in_any_case_also_against_accounts_that_scim_did_not_make(
    scim: ScimClient, viewer: User
) -> None:
    created(scim)

    for name, more in (
        ("ANNA@CONTOSO.COM", {"emails": [{"value": "other@example.com"}]}),
        ("other@contoso.com", {"emails": [{"value": "anna.berg@example.com"}]}),
        ("VIEWER@example.com", {"emails": [{"value": "other@example.com"}]}),
        ("viewer@example.com", {}),
        ("vera", {"emails": [{"value": "other@example.com"}]}),
    ):
        assert refusal(scim.post("/Users", user_of(name, **more))) == (409, "uniqueness")  # 3.3
    assert (User.objects.count(), ScimUser.objects.count()) == (3, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"userName": "x@example.com"}, "invalidSyntax"),  # 3.1: schemas
        ([], "invalidSyntax"),
        (user_of(""), "invalidValue"),  # userName is required
        (user_of("anna"), "invalidValue"),  # no address
        (user_of("x@example.com", emails=[{"value": "no address"}]), "invalidValue"),
        (user_of("x@example.com", active="perhaps"), "invalidValue"),
        (user_of("x@example.com", displayName=["x"]), "invalidValue"),
        (user_of("x@example.com", externalId="x\0"), "invalidValue"),
        (user_of("x@example.com", externalId="\ud800"), "invalidValue"),
        (user_of("x@example.com", externalId="x" * 256), "invalidValue"),
        (user_of("x@example.com", name="Anna"), "invalidValue"),
    ],
)
def test_what_is_no_user_is_refused(scim: ScimClient, body: Any, expected: str) -> None:
    assert refusal(scim.post("/Users", body)) == (400, expected)  # 3.12
    assert User.objects.count() == 1


def test_put_replaces_what_was_written_and_leaves_the_state(scim: ScimClient) -> None:
    first = created(scim)
    body = user_of(
        "anna@contoso.com", id="ignored", emails=first["emails"], roles=[{"value": "owner"}]
    )

    answer = scim.put(f"/Users/{first['id']}", body)  # 3.5.1
    user = User.objects.get(pk=first["id"])

    assert answer.status_code == 200
    assert answer.json()["id"] == first["id"]  # 3.5.1: readOnly values are ignored
    assert {"name", "displayName", "externalId"}.isdisjoint(answer.json())
    assert (user.name, user.role, user.is_active) == ("", "viewer", True)
    scim.patch(f"/Users/{first['id']}", {"op": "replace", "path": "active", "value": False})
    assert scim.put(f"/Users/{first['id']}", body).json()["active"] is False


def test_a_new_address_is_verified_and_ends_what_the_old_one_opened(scim: ScimClient) -> None:
    first = created(scim)
    before = User.objects.get(pk=first["id"]).credentials_valid_from

    answer = scim.patch(
        f"/Users/{first['id']}",
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "Anna@New.example"},
    )
    user = User.objects.get(pk=first["id"])

    assert answer.json()["emails"][0]["value"] == "anna@new.example"
    assert (user.email, user.is_verified) == ("anna@new.example", True)
    assert user.credentials_valid_from > before
    assert actions(user)[2:] == ["account:user:edit", "account:email:vouch"]


def test_changes_are_all_made_or_none(scim: ScimClient, viewer: User) -> None:
    first = created(scim)

    answer = scim.patch(
        f"/Users/{first['id']}",
        {"op": "replace", "path": "displayName", "value": "Someone else"},
        {"op": "replace", "path": "emails.value", "value": viewer.email},
    )

    assert refusal(answer) == (409, "uniqueness")
    assert scim.get(f"/Users/{first['id']}").json() == first


def test_what_is_as_it_was_writes_nothing(scim: ScimClient) -> None:
    first = created(scim)
    user = User.objects.get(pk=first["id"])
    before = actions(user)

    scim.put(f"/Users/{first['id']}", user_of("anna@contoso.com", **ANNA))
    assert actions(user) == before
    scim.patch(f"/Users/{first['id']}", {"op": "replace", "value": {"active": "True"}})

    assert actions(user) == before


def test_versions_guard_changes(scim: ScimClient) -> None:
    first = created(scim)
    path, version = f"/Users/{first['id']}", first["meta"]["version"]
    change = patch_of({"op": "replace", "path": "displayName", "value": "Anna B."})

    same = scim.call("GET", path, **{"if-none-match": version})
    done = scim.call("PATCH", path, change, **{"if-match": version})
    late = [
        scim.call("PATCH", path, change, **{"if-match": version}),
        scim.call("PUT", path, user_of("anna@contoso.com"), **{"if-match": version}),
        scim.call("DELETE", path, **{"if-match": version}),
    ]

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", version)  # 3.14
    assert done.status_code == 200
    assert done["ETag"] != version
    assert [refusal(answer) for answer in late] == [(412, "")] * 3  # 3.14
    assert User.objects.get(pk=first["id"]).name == "Anna B."
    assert scim.call("PATCH", path, change, **{"if-match": "*"}).status_code == 200


def check_by_fast_path(key: str) -> str:
    """What a proxy is told about a request with this key, before Django is asked."""
    path = FastPath(WSGIHandler(), Checker(current_data_version))
    status, _headers, _body = _ask(path, _environ("/auth/check", **BOARD, HTTP_X_API_KEY=key))
    return status


def test_a_disabled_user_has_no_access_from_the_next_request_on(
    scim: ScimClient, viewer: User, browser_of: Any
) -> None:
    browser, key = browser_of(viewer), made(viewer).text
    tokens = sign_in(viewer)
    assert check_by_fast_path(key).startswith("204")
    assert browser.get("/account/").status_code == 200

    answer = scim.patch(
        f"/Users/{viewer.pk}", {"op": "Replace", "path": "active", "value": "False"}
    )

    assert (answer.status_code, answer.json()["active"]) == (200, False)
    assert check_by_fast_path(key).startswith("403")
    assert call_with(key).status_code == 403
    assert outcome(me(tokens["access"])) == (403, "account_disabled")
    assert outcome(refreshed(tokens["refresh"])) == (403, "account_disabled")
    assert browser.get("/account/").status_code == 302
    assert BrowserSession.objects.filter(user=viewer).count() == 0
    assert actions(viewer)[-2:] == ["scim:user:link", "account:user:disable"]

    scim.patch(f"/Users/{viewer.pk}", {"op": "replace", "value": {"active": True}})
    assert User.objects.get(pk=viewer.pk).is_active
    assert call_with(key).status_code == 403
    assert outcome(refreshed(tokens["refresh"])) == (401, "token_invalid")


def test_a_deleted_user_stays_disabled_and_comes_back_as_the_same_person_only(
    scim: ScimClient,
) -> None:
    first = created(scim)
    path = f"/Users/{first['id']}"

    assert scim.delete(path).status_code == 204  # 3.6
    user = User.objects.get(pk=first["id"])
    assert not user.is_active
    assert actions(user)[-2:] == ["account:user:disable", "scim:user:release"]
    for answer in (scim.get(path), scim.put(path, user_of("a@b.example")), scim.delete(path)):
        assert refusal(answer) == (404, "")  # 3.6
    assert scim.found("/Users", 'userName eq "anna@contoso.com"') == []  # 3.6

    other = {**ANNA, "externalId": "a new person"}
    assert refusal(scim.post("/Users", user_of("anna@contoso.com", **other))) == (409, "uniqueness")
    assert not User.objects.get(pk=first["id"]).is_active
    again = created(scim)
    assert again["id"] == first["id"]
    assert again["active"] is True
    assert User.objects.get(pk=first["id"]).is_active


def test_a_user_may_be_created_disabled(scim: ScimClient) -> None:
    found = created(scim, active=False)

    assert found["active"] is False
    assert not User.objects.get(pk=found["id"]).is_active


@pytest.mark.parametrize("of_owner", [True, False])
def test_no_client_touches_an_owner_or_its_own_rank(
    make_user: Any, owner: User, admin: User, of_owner: bool
) -> None:
    other = make_user("owner", email="second@example.com")
    scim = client_of(owner) if of_owner else client_of(admin)
    touched = [other, owner] if of_owner else [other, owner, admin, make_user("admin")]
    before = AuditEvent.objects.count()

    for user in touched:
        path = f"/Users/{user.pk}"
        for answer in (
            scim.patch(path, {"op": "replace", "path": "active", "value": False}),
            scim.put(path, user_of(user.email, active=False)),
            scim.delete(path),
        ):
            assert refusal(answer) == (403, "")
        assert User.objects.get(pk=user.pk).is_active
    assert AuditEvent.objects.count() == before


def test_an_owner_who_was_deleted_there_does_not_come_back(owner: User, scim: ScimClient) -> None:
    first = created(scim)
    scim.delete(f"/Users/{first['id']}")
    services.change_role(actor=owner, user=User.objects.get(pk=first["id"]), role="owner")

    assert refusal(scim.post("/Users", user_of("anna@contoso.com", **ANNA))) == (403, "")
    assert not User.objects.get(pk=first["id"]).is_active


def test_the_role_never_reaches_that_of_the_key(settings: Any, owner: User) -> None:
    settings.SCIM_DEFAULT_ROLE = "admin"
    account, scim = service_client(owner)

    made_by_admin = created(scim)
    made_by_owner = created(client_of(owner), "bert@contoso.com", displayName="Bert")

    assert made_by_admin["roles"] == [{"value": "editor", "primary": True}]
    assert made_by_owner["roles"] == [{"value": "admin", "primary": True}]
    row = AuditEvent.objects.get(action="account:user:create", target_id=made_by_admin["id"])
    assert row.actor_id == account.pk


def test_service_accounts_and_the_anonymous_user_are_no_users(owner: User, settings: Any) -> None:
    account, scim = service_client(owner)

    assert scim.found("/Users", "id pr") == [owner.email]
    for key in (account.pk, "00000000-0000-7000-8000-000000000001", "no id", "%00"):
        assert refusal(scim.get(f"/Users/{key}")) == (404, "")


def test_an_account_that_was_here_before_is_matched_and_then_managed(
    scim: ScimClient, viewer: User
) -> None:
    assert scim.found("/Users", 'userName eq "Viewer@example.com"') == [viewer.email]
    before = actions(viewer)

    answer = scim.patch(
        f"/Users/{viewer.pk}",
        {"op": "add", "path": "externalId", "value": "42"},
        {"op": "replace", "path": "userName", "value": "vera@contoso.com"},
    )

    assert answer.status_code == 200, answer.content
    assert scim.found("/Users", 'externalId eq "42"') == ["vera@contoso.com"]
    assert scim.found("/Users", 'userName eq "viewer@example.com"') == []
    viewer.refresh_from_db()
    assert (viewer.email, viewer.username) == ("viewer@example.com", "vera")
    assert actions(viewer)[len(before) :] == ["scim:user:link"]


def test_a_name_without_an_at_sign_is_also_the_user_name(scim: ScimClient) -> None:
    first = created(scim, "Anna.Berg", emails=[{"value": "anna@example.com"}])
    second = created(scim, "CONTOSO\\bert", emails=[{"value": "bert@example.com"}])

    assert User.objects.get(pk=first["id"]).username == "anna.berg"
    assert User.objects.get(pk=second["id"]).username is None
    assert second["userName"] == "CONTOSO\\bert"


def test_an_account_needs_an_address(scim: ScimClient) -> None:
    answer = scim.post("/Users", user_of("anna", displayName="Anna"))

    assert refusal(answer) == (400, "invalidValue")
    assert answer.json()["detail"] == ("emails: an account needs an address, here or as userName.")


def test_what_a_client_removes_or_says_of_the_address_comes_back(scim: ScimClient) -> None:
    """Without `name` there is no `formatted`, although the account has a name."""
    first = created(scim, "anna", displayName="Anna", emails=[
        {"value": "anna@example.com", "primary": False}])  # fmt: skip
    path = f"/Users/{first['id']}"
    assert "name" not in first
    assert first["emails"] == [{"value": "anna@example.com", "type": "work", "primary": False}]

    answer = scim.patch(
        path,
        {"op": "add", "path": "name", "value": {"givenName": "Anna"}},
        {"op": "replace", "path": "emails", "value": [{"value": "anna@example.com"}]},
    ).json()
    assert answer["name"] == {"formatted": "Anna", "givenName": "Anna"}
    assert answer["emails"][0]["primary"] is True
    answer = scim.patch(path, {"op": "add", "path": "displayName", "value": "Anna B."}).json()
    assert answer["name"]["formatted"] == "Anna B."

    answer = scim.patch(path, {"op": "remove", "path": "name"}).json()
    assert "name" not in answer
    assert answer["displayName"] == "Anna B."
    row = AuditEvent.objects.filter(action="scim:user:change").latest("seq")
    assert row.detail["fields"] == ["given_name", "has_name"]


def test_whether_an_account_is_enabled_cannot_be_removed(scim: ScimClient, viewer: User) -> None:
    """A client that does it perhaps means to disable the account."""
    answer = scim.patch(f"/Users/{viewer.pk}", {"op": "remove", "path": "active"})

    assert refusal(answer) == (400, "mutability")
    assert User.objects.get(pk=viewer.pk).is_active


def test_the_page_of_a_user_says_that_scim_manages_it(
    owner: User, scim: ScimClient, browser_of: Any
) -> None:
    first = created(scim)
    browser = browser_of(owner)
    page = f"/admin/accounts/user/{first['id']}/change/"

    shown = browser.get(page).content.decode()
    scim.delete(f"/Users/{first['id']}")
    later = browser.get(page).content.decode()

    assert "Managed by SCIM" in shown
    assert "701984" in shown
    assert "Deleted by SCIM" in later


def test_what_is_stored_about_a_user_can_be_exported(scim: ScimClient, viewer: User) -> None:
    scim.patch(f"/Users/{viewer.pk}", {"op": "add", "path": "externalId", "value": "42"})

    found = call_with(made(viewer).text, path="me/export").json()["provisioning"]

    assert (found["user_name"], found["external_id"]) == ("viewer@example.com", "42")
