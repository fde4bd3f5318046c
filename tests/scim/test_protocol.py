"""What all endpoints share: who may call them, media types, errors, discovery, and limits."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from config.environment.errors import Unreadable
from config.environment.parsing.role_names import check_bounded_mapping
from moderation.models import Ban, Violation
from tests.api.keys import made
from tests.api.tokens import sign_in
from tests.scim.client import (
    TYPE,
    ScimClient,
    client_of,
    group_of,
    refusal,
    service_client,
    user_of,
)

pytestmark = pytest.mark.django_db
PATHS = ("/Users", "/Groups", "/Schemas", "/ResourceTypes", "/Bulk", "/Me", "/no/such/path")


def test_only_keys_with_the_scope_of_administrators_get_in(
    owner: User, editor: User, admin: User, browser_of: Any
) -> None:
    others = sorted({"read", "write", "users", "moderation", "service"})
    browser = browser_of(admin)
    token = sign_in(admin)["access"]

    for path in PATHS:
        assert refusal(Client().get(f"/scim/v2{path}")) == (401, "")  # RFC 7644, 2
        assert refusal(browser.get(f"/scim/v2{path}")) == (401, "")
        assert refusal(ScimClient(token).get(path)) == (401, "")
        assert refusal(ScimClient("gth_wrong").get(path)) == (401, "")
        assert refusal(client_of(admin, *others).get(path)) == (403, "")
        assert refusal(client_of(editor, "read").get(path)) == (403, "")
    assert Client().get("/scim/v2/Users")["WWW-Authenticate"] == "Bearer"
    _account, scim = service_client(owner)
    assert scim.get("/Users").status_code == 200


def test_a_key_of_scim_opens_nothing_else(admin: User) -> None:
    key = made(admin, scopes=["scim"]).text

    for path in ("users", "me", "groups", "api-keys", "audit-events"):
        assert Client().get(f"/api/v1/{path}", headers={"x-api-key": key}).status_code == 403


def test_a_key_may_be_sent_as_password(admin: User) -> None:
    key = made(admin, scopes=["scim"]).text

    answer = Client(headers={"x-api-key": key}).get("/scim/v2/Users/")

    assert (answer.status_code, answer["Content-Type"]) == (200, TYPE)


def test_a_demoted_or_disabled_client_is_refused_at_once(owner: User) -> None:
    account, scim = service_client(owner)

    User.objects.filter(pk=account.pk).update(role="viewer")
    demoted = refusal(scim.get("/Users"))
    User.objects.filter(pk=account.pk).update(role="admin", is_active=False)

    assert demoted == (403, "")
    assert refusal(scim.post("/Users", user_of("x@example.com"))) == (403, "")


def test_limits_answer_429_and_count_no_violation(scim: ScimClient, settings: Any) -> None:
    settings.API_KEY_MAX = 1
    answers = [scim.get("/Users") for _ in range(3)]

    assert refusal(answers[-1]) == (429, "")
    assert int(answers[-1]["Retry-After"]) > 0
    assert (Violation.objects.count(), Ban.objects.count()) == (0, 0)


def test_bodies_that_are_not_read(scim: ScimClient) -> None:
    def sent(content: bytes, media_type: str = TYPE) -> Any:
        headers = {"authorization": f"Bearer {scim.key}"}
        return Client(headers=headers).post("/scim/v2/Users", content, content_type=media_type)

    good = json.dumps(user_of("x@example.com")).encode()

    assert refusal(sent(b"{")) == (400, "invalidSyntax")  # 3.12
    assert refusal(sent(b'{"userName": "x", "userName": "y"}')) == (400, "invalidSyntax")
    assert refusal(sent(b'{"schemas": [], "USERNAME": "x", "userName": "y"}')) == (
        400, "invalidSyntax",
    )  # fmt: skip
    assert refusal(sent(b"\xff")) == (400, "invalidSyntax")
    assert refusal(sent(good, "text/plain")) == (415, "")
    assert refusal(sent(b'"' + b"x" * 300_000 + b'"')) == (413, "")
    assert sent(good, "application/json").status_code == 201  # 3.1


def test_what_this_server_does_not_have_says_so(scim: ScimClient) -> None:
    config = Client().get("/scim/v2/ServiceProviderConfig").json()

    assert config["bulk"]["supported"] is False
    assert refusal(scim.post("/Bulk", {})) == (501, "")  # 3.7
    assert refusal(scim.get("/Me")) == (501, "")  # 3.11
    assert refusal(scim.post("/.search", {})) == (501, "")  # 3.4.3
    assert refusal(scim.get("/no/such/path")) == (404, "")
    assert refusal(scim.post("/Users/x/y", {})) == (404, "")
    assert refusal(scim.put("/Users", {})) == (405, "")


def test_discovery_says_what_is_true(scim: ScimClient) -> None:
    config = Client().get("/scim/v2/ServiceProviderConfig")  # RFC 7643, 5: open to everyone
    types = scim.get("/ResourceTypes").json()["Resources"]
    schemas = scim.get("/Schemas").json()["Resources"]

    assert config["Content-Type"] == TYPE
    supported = {name: part["supported"] for name, part in config.json().items()
                 if isinstance(part, dict) and "supported" in part}  # fmt: skip
    assert supported == {"patch": True, "bulk": False, "filter": True, "changePassword": False,
                         "sort": True, "etag": True}  # fmt: skip
    assert [(each["id"], each["endpoint"]) for each in types] == [
        ("User", "/Users"), ("Group", "/Groups"),
    ]  # fmt: skip
    for each in (*types, *schemas):
        path = each["meta"]["location"].removeprefix("http://localhost:8000/scim/v2")
        assert scim.get(path).json() == each
    for path in ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas"):
        assert refusal(scim.get(path, filter="id pr")) == (403, "")  # 4
    assert refusal(scim.get("/Schemas/urn:x")) == (404, "")
    assert refusal(scim.get("/ResourceTypes/X")) == (404, "")


def test_resources_have_only_attributes_of_their_schema(scim: ScimClient, viewer: User) -> None:
    scim.post("/Groups", group_of("Lab", str(viewer.pk)))
    scim.post("/Users", user_of("a@example.com", externalId="1", name={"givenName": "A"}))
    common = {"id", "externalId", "schemas", "meta"}

    for schema, path in zip(scim.get("/Schemas").json()["Resources"], ("/Users", "/Groups"),
                            strict=True):  # fmt: skip
        subs = {each["name"]: {sub["name"] for sub in each.get("subAttributes", [])}
                for each in schema["attributes"]}  # fmt: skip
        for resource in scim.get(path).json()["Resources"]:
            assert set(resource) <= common | set(subs)
            for name in set(resource) & set(subs):
                for value in resource[name] if isinstance(resource[name], list) else ():
                    assert set(value) <= subs[name]


def test_attributes_are_chosen(scim: ScimClient, viewer: User) -> None:
    path = f"/Users/{viewer.pk}"

    few = scim.get(path, attributes="USERNAME,emails.value,unknown").json()  # 3.9
    most = scim.get(path, excludedAttributes="emails,meta,id,name.formatted").json()
    by_urn = scim.get(path, attributes="urn:ietf:params:scim:schemas:core:2.0:User:active").json()

    assert few == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": str(viewer.pk),  # returned always
        "userName": viewer.email,
        "emails": [{"value": viewer.email}],
    }
    assert set(most) == {"schemas", "id", "userName", "name", "displayName", "active", "roles"}
    assert set(by_urn) == {"schemas", "id", "active"}


def test_a_query_may_stand_in_the_body(scim: ScimClient, viewer: User) -> None:
    urn = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
    body = {"schemas": [urn], "filter": 'userName sw "viewer"', "attributes": ["userName"],
            "startIndex": 1, "count": 5}  # fmt: skip

    found = scim.post("/Users/.search", body).json()  # 3.4.3

    assert (found["totalResults"], found["Resources"][0]["userName"]) == (1, viewer.email)
    assert set(found["Resources"][0]) == {"schemas", "id", "userName"}
    assert scim.post("/Groups/.search", {"schemas": [urn]}).json()["totalResults"] == 0
    for wrong in ({"filter": 7}, {"count": True}, {"attributes": [7]}):
        answer = scim.post("/Users/.search", {"schemas": [urn], **wrong})
        assert refusal(answer) == (400, "invalidValue")
    assert refusal(scim.post("/Users/.search", {})) == (400, "invalidSyntax")


def test_the_mapping_of_roles_never_names_owner() -> None:
    assert check_bounded_mapping('{"Leads": "admin"}') == '{"Leads": "admin"}'
    for text in ('{"Leads": "owner"}', '{"Leads": ["viewer", "Owner"]}', "x"):
        with pytest.raises(Unreadable):
            check_bounded_mapping(text)
