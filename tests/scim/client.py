"""A client of SCIM with one API key, as an identity system has it."""

import json
from typing import Any

from django.test import Client

from accounts.models import User
from accounts.services.service_accounts import create_service_account
from api.apikeys.services import KeyRequest, create_key
from scim.schemas import GROUP_URN, PATCH_URN, USER_URN

TYPE = "application/scim+json"


class ScimClient:
    """base: before every path. `key` is sent as bearer token."""

    def __init__(self, key: str, **options: Any) -> None:
        self.key, self.options = key, options

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return Client(headers={"host": "localhost:8000"}).generic(
            method,
            f"/scim/v2{path}",
            b"" if body is None else json.dumps(body).encode(),
            content_type=TYPE,
            headers={"authorization": f"Bearer {self.key}", "accept": TYPE, **headers},
            **self.options,
        )

    def get(self, path: str, **query: str) -> Any:
        return Client(headers={"host": "localhost:8000"}).get(
            f"/scim/v2{path}", query, headers={"authorization": f"Bearer {self.key}"}
        )

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body)

    def patch(self, path: str, *operations: dict[str, Any]) -> Any:
        return self.call("PATCH", path, patch_of(*operations))

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def found(self, path: str, text: str) -> list[str]:
        """The userName or displayName of what the filter selects, in order."""
        answer = self.get(path, filter=text)
        assert answer.status_code == 200, answer.content
        rows = answer.json()["Resources"]
        assert answer.json()["totalResults"] == len(rows)
        return [row.get("userName") or row["displayName"] for row in rows]


def patch_of(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_URN], "Operations": list(operations)}


def user_of(name: str, /, **attributes: Any) -> dict[str, Any]:
    return {"schemas": [USER_URN], "userName": name, **attributes}


def group_of(name: str, /, *members: str, **attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"schemas": [GROUP_URN], "displayName": name, **attributes}
    if members:
        found["members"] = [{"value": member} for member in members]
    return found


def client_of(user: User, *scopes: str) -> ScimClient:
    """A client with a key of this account."""
    wanted = KeyRequest(name="provisioning", scopes=scopes or ("scim",))
    return ScimClient(create_key(actor=user, user=user, key_request=wanted).text)


def service_client(owner: User, role: str = "admin") -> tuple[User, ScimClient]:
    """The service account of an identity system, and its client."""
    account = create_service_account(actor=owner, username="entra", responsible=owner, role=role)
    wanted = KeyRequest(name="provisioning", scopes=("scim",))
    issued = create_key(actor=owner, user=account, key_request=wanted)
    return account, ScimClient(issued.text)


def refusal(answer: Any) -> tuple[int, str]:
    """Status and scimType of an error, whose form is checked."""
    body = answer.json()
    assert answer["Content-Type"] == TYPE, answer.content
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert body["status"] == str(answer.status_code)
    assert body["detail"]
    return answer.status_code, body.get("scimType", "")
