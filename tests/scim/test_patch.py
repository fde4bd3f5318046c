"""PATCH (RFC 7644, section 3.5.2) over a dictionary: each rule, and the habits of clients."""

from typing import Any

import pytest

from scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
)
from scim.patch import apply_patch
from scim.schemas import GROUP, USER, Schema
from tests.scim.client import patch_of

WORK = {"value": "anna@example.com", "type": "work", "primary": True}
HOME = {"value": "anna@home.example", "type": "home"}
USER_BEFORE = {
    "userName": "anna",
    "displayName": "Anna",
    "name": {"givenName": "Anna", "familyName": "Berg"},
    "active": True,
    "emails": [WORK],
}
GROUP_BEFORE = {"displayName": "Lab", "members": [{"value": "1"}, {"value": "2"}]}
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def patched(before: dict[str, Any], schema: Schema, *operations: dict[str, Any]) -> dict[str, Any]:
    return apply_patch(before, patch_of(*operations), schema)


@pytest.mark.parametrize(
    ("operation", "changes"),
    [
        # add: a value that was not there; one that was is replaced
        ({"op": "add", "path": "externalId", "value": "7"}, {"externalId": "7"}),
        ({"op": "add", "path": "displayName", "value": "A."}, {"displayName": "A."}),
        ({"op": "add", "value": {"externalId": "7", "active": False}},
         {"externalId": "7", "active": False}),
        ({"op": "add", "path": "name", "value": {"familyName": "Tal"}},
         {"name": {"givenName": "Anna", "familyName": "Tal"}}),
        ({"op": "add", "path": "emails", "value": [HOME]}, {"emails": [WORK, HOME]}),
        ({"op": "add", "path": "emails", "value": [WORK]}, {}),
        ({"op": "add", "path": "emails", "value": {**HOME, "primary": True}},
         {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]}),
        # replace
        ({"op": "replace", "path": "emails", "value": [HOME]}, {"emails": [HOME]}),
        ({"op": "replace", "path": "name.givenName", "value": "A."},
         {"name": {"givenName": "A.", "familyName": "Berg"}}),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@b.example"},
         {"emails": [{**WORK, "value": "a@b.example"}]}),
        ({"op": "replace", "path": 'emails[type eq "work"]', "value": HOME}, {"emails": [HOME]}),
        ({"op": "replace", "path": "emails.value", "value": "a@b.example"},
         {"emails": [{**WORK, "value": "a@b.example"}]}),
        ({"op": "replace", "path": "displayName", "value": None}, {"displayName": None}),
        # remove
        ({"op": "remove", "path": "displayName"}, {"displayName": None}),
        ({"op": "remove", "path": "name.givenName"}, {"name": {"familyName": "Berg"}}),
        ({"op": "remove", "path": "name"}, {"name": None}),
        ({"op": "remove", "path": 'emails[type eq "home"]'}, {}),
        ({"op": "remove", "path": 'emails[type eq "work"].primary'},
         {"emails": [{"value": "anna@example.com", "type": "work"}]}),
        # names in any case, and with the schema
        ({"op": "replace", "path": "DISPLAYNAME", "value": "A."}, {"displayName": "A."}),
        ({"op": "replace", "path": f"{USER.urn}:displayName", "value": "A."},
         {"displayName": "A."}),
        ({"op": "replace", "value": {USER.urn: {"displayName": "A."}}}, {"displayName": "A."}),
        # Entra
        ({"op": "Replace", "path": "active", "value": "False"}, {"active": False}),
        ({"op": "Add", "value": {"name.givenName": "A.", "displayName": "A."}},
         {"displayName": "A.", "name": {"givenName": "A.", "familyName": "Berg"}}),
        ({"op": "Add", "path": 'emails[type eq "home"].value', "value": HOME["value"]},
         {"emails": [WORK, HOME]}),
        ({"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Lab"}, {}),
        ({"op": "Add", "path": 'addresses[type eq "work"].country', "value": "NL"}, None),
        ({"op": "Add", "path": "title", "value": "Dr"}, {}),
        ({"op": "Replace", "value": {f"{ENTERPRISE}:manager": "7", "unknown": 1, "id": "7"}}, {}),
        # Okta
        ({"op": "replace", "value": {"active": False}}, {"active": False}),
    ],
)  # fmt: skip
def test_users(operation: dict[str, Any], changes: dict[str, Any] | None) -> None:
    before = {**USER_BEFORE}
    expected = {
        name: value for name, value in {**before, **(changes or {})}.items() if value is not None
    }

    assert patched(before, USER, operation) == expected
    assert before == USER_BEFORE


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ({"op": "add", "path": "members", "value": [{"value": "3"}, {"value": "1"}]}, "123"),
        ({"op": "Add", "path": "members", "value": {"value": "3"}}, "123"),
        ({"op": "replace", "path": "members", "value": [{"value": "3"}]}, "3"),
        ({"op": "replace", "path": "members", "value": []}, ""),
        ({"op": "remove", "path": 'members[value eq "1"]'}, "2"),
        ({"op": "remove", "path": 'members[value eq "1" or value eq "2"]'}, ""),
        ({"op": "remove", "path": 'members[value eq "9"]'}, "12"),
        ({"op": "remove", "path": "members"}, ""),
        ({"op": "Remove", "path": "members", "value": [{"value": "2"}]}, "1"),
        ({"op": "replace", "value": {"id": "7", "displayName": "Lab"}}, "12"),
    ],
)
def test_members(operation: dict[str, Any], members: str) -> None:
    found = patched(GROUP_BEFORE, GROUP, operation)

    assert "".join(member["value"] for member in found.get("members", [])) == members


def test_operations_are_applied_in_order() -> None:
    found = patched(
        GROUP_BEFORE,
        GROUP,
        {"op": "remove", "path": "members"},
        {"op": "add", "path": "members", "value": [{"value": "9"}]},
        {"op": "replace", "path": "displayName", "value": "Last"},
    )

    assert found == {"displayName": "Last", "members": [{"value": "9"}]}


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "move", "path": "displayName"}, InvalidSyntax),
        ({"path": "displayName", "value": "x"}, InvalidSyntax),
        ({"op": "replace", "path": "displayName"}, InvalidSyntax),
        ("replace", InvalidSyntax),
        ({"op": "remove"}, NoTarget),
        ({"op": "replace", "path": 'emails[type eq "home"].value', "value": "x"}, NoTarget),
        ({"op": "add", "value": "x"}, InvalidValue),
        ({"op": "add", "path": "displayName", "value": {"x": 1}}, InvalidValue),
        ({"op": "add", "path": "active", "value": 1}, InvalidValue),
        ({"op": "add", "path": "emails", "value": [7]}, InvalidValue),
        ({"op": "add", "path": "unknown", "value": 1}, InvalidPath),
        ({"op": "add", "path": "name.unknown", "value": 1}, InvalidPath),
        ({"op": "add", "path": "displayName eq", "value": 1}, InvalidPath),
        ({"op": "add", "path": 'emails[type eq "work"', "value": 1}, InvalidPath),
        ({"op": "add", "path": 'emails[type eq "work"]x', "value": 1}, InvalidPath),
        ({"op": "add", "path": 'displayName[value eq "x"]', "value": 1}, InvalidPath),
        ({"op": "add", "path": 'emails[unknown eq "x"]', "value": 1}, InvalidFilter),
        ({"op": "add", "path": 7, "value": 1}, InvalidPath),
        ({"op": "replace", "path": "id", "value": "x"}, Mutability),
        ({"op": "replace", "path": "meta.version", "value": "x"}, Mutability),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, Mutability),
        ({"op": "replace", "path": 'roles[primary eq "True"].value', "value": "owner"}, Mutability),
        ({"op": "remove", "path": "schemas"}, Mutability),
        # RFC 7644, section 3.5.2.2: required ones
        ({"op": "remove", "path": "userName"}, Mutability),
        ({"op": "remove", "path": "active"}, Mutability),
        ({"op": "remove", "path": "emails"}, Mutability),
        ({"op": "remove", "path": 'emails[type eq "work"]'}, Mutability),
        ({"op": "replace", "path": "active", "value": None}, Mutability),
    ],
)
def test_errors(operation: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        apply_patch(USER_BEFORE, patch_of(operation), USER)


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"schemas": ["x"], "Operations": []}, patch_of(),
     {**patch_of({"op": "remove", "path": "name"}), "schemas": [USER.urn]},
     {**patch_of(), "Operations": [{}] * 101}, {**patch_of(), "operations": []}],
)  # fmt: skip
def test_bodies_that_are_no_message(body: Any) -> None:
    with pytest.raises(InvalidSyntax):
        apply_patch(USER_BEFORE, body, USER)
