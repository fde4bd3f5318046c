"""What Entra and Okta send, in order, as their documentation prints it.

Entra: learn.microsoft.com, "Develop and plan provisioning for a SCIM endpoint". Okta:
developer.okta.com, "SCIM 2.0 protocol reference".
"""

from typing import Any

import pytest

from accounts.models import Membership, User
from tests.scim.client import ScimClient, group_of, patch_of, refusal

pytestmark = pytest.mark.django_db
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def test_entra(scim: ScimClient) -> None:
    # "Test connection" asks for a user that there is not.
    empty = scim.get("/Users", filter='userName eq "non-existent user"')
    assert (empty.status_code, empty.json()["totalResults"]) == (200, 0)
    body = {
        "schemas": [CORE, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee@testuser.com",
        "active": True,
        "addresses": [{"type": "work", "country": "NL"}],
        "emails": [{"primary": True, "type": "work", "value": "Test_User_fd0ea19b@testuser.com"}],
        "meta": {"resourceType": "User"},
        "name": {
            "formatted": "givenName familyName",
            "familyName": "familyName",
            "givenName": "givenName",
        },
        "roles": [],
        ENTERPRISE: {"department": "Lab", "manager": {"value": "7"}},
    }
    created = scim.post("/Users", body)
    assert created.status_code == 201, created.content
    key = created.json()["id"]
    path = f"/Users/{key}"
    assert scim.found("/Users", 'userName eq "Test_User_ab6490ee@testuser.com"') == [
        "Test_User_ab6490ee@testuser.com"
    ]
    changed = scim.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@microsoft.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "555"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Physics"},
    )
    assert changed.status_code == 200, changed.content
    assert changed.json()["name"] == {
        "formatted": "givenName updatedFamilyName",
        "familyName": "updatedFamilyName",
        "givenName": "givenName",
    }
    assert changed.json()["emails"][0]["value"] == "updated@microsoft.com"
    renamed = scim.patch(path, {"op": "Replace", "path": "userName", "value": "5b50642d@test.com"})
    assert renamed.json()["userName"] == "5b50642d@test.com"

    urns = ["http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"]
    group_body = group_of("displayName", externalId="8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159")
    group_body["schemas"] += urns
    group = scim.post("/Groups", {**group_body, "meta": {"resourceType": "Group"}}).json()
    group_path = f"/Groups/{group['id']}"
    read = scim.get(f"{group_path}", excludedAttributes="members")
    assert "members" not in read.json()
    found = scim.get("/Groups", excludedAttributes="members", filter='displayName eq "displayName"')
    assert found.json()["Resources"][0]["id"] == group["id"]
    for operation in (
        {"op": "Replace", "path": "displayName", "value": "1879db59-3bdf-4490-ad68-ab880a269474"},
        {"op": "Add", "path": "members", "value": [{"$ref": None, "value": key}]},
    ):
        assert scim.patch(group_path, operation).status_code == 204
    assert Membership.objects.filter(user=key, source="scim").count() == 1
    gone = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": key}]}
    assert scim.patch(group_path, gone).status_code == 204
    assert Membership.objects.count() == 0
    assert scim.delete(group_path).status_code == 204

    off = scim.patch(path, {"op": "Replace", "path": "active", "value": "False"})
    assert off.json()["active"] is False
    assert scim.patch(path, {"op": "Replace", "value": {"active": True}}).json()["active"] is True
    assert scim.delete(path).status_code == 204
    assert refusal(scim.get(path)) == (404, "")


def test_okta(scim: ScimClient) -> None:
    query = {"filter": 'userName eq "test.user@okta.local"', "startIndex": "1", "count": "100"}
    assert scim.get("/Users", **query).json()["Resources"] == []
    body: dict[str, Any] = {
        "schemas": [CORE],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    created = scim.post("/Users", body)
    assert created.status_code == 201, created.content
    assert "password" not in created.json()
    key = created.json()["id"]
    path = f"/Users/{key}"
    assert not User.objects.get(pk=key).has_usable_password()
    assert scim.get("/Users", startIndex="1", count="100").json()["itemsPerPage"] == 2

    updated = {**created.json(), "name": {"givenName": "Another", "familyName": "User"}}
    updated["displayName"] = "Another User"
    changed = scim.put(path, updated)
    assert changed.status_code == 200, changed.content
    assert changed.json()["displayName"] == "Another User"
    assert changed.json()["externalId"] == body["externalId"]

    group = scim.post("/Groups", group_of("Test SCIMv2")).json()
    group_path = f"/Groups/{group['id']}"
    assert scim.get("/Groups", filter='displayName eq "Test SCIMv2"').json()["totalResults"] == 1
    add = {"op": "add", "path": "members", "value": [{"value": key, "display": "test.user"}]}
    rename = {"op": "replace", "value": {"id": group["id"], "displayName": "Test SCIMv2 renamed"}}
    gone = {"op": "remove", "path": f'members[value eq "{key}"]'}
    for operations, count in (((rename,), 0), ((gone, add), 1), ((gone,), 0), ((add,), 1)):
        answer = scim.call("PATCH", group_path, patch_of(*operations))
        assert answer.status_code == 204, answer.content
        assert Membership.objects.filter(user=key).count() == count
    pushed = {**group_of("Test SCIMv2 renamed", key), "id": group["id"]}
    assert scim.put(group_path, pushed).status_code == 200
    assert Membership.objects.filter(user=key).count() == 1

    off = scim.patch(path, {"op": "replace", "value": {"active": False}})
    assert (off.status_code, off.json()["active"]) == (200, False)
    assert scim.put(path, {**updated, "active": True}).json()["active"] is True
    assert scim.delete(group_path).status_code == 204
    assert refusal(scim.get(group_path)) == (404, "")
