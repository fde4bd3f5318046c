"""Attacks on API keys, several credentials in one request, and the public keys."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.programs import Program
from tests.attacks.site import APP, SITE, URL, Site

KEYS = "/api/v1/api-keys"
INVALID = (401, "token_invalid")
UNKNOWN = (402, "record_invalid")
EVERY_SCOPE = ("read", "write", "users", "moderation", "service", "scim")


def basic(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'x:{key}'.encode()).decode()}"}


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def count_of_keys(site: Site, email: str) -> int:
    return int(site.drive(f"result = ApiKey.objects.filter(user__email={email!r}).count()"))


# Several credentials


def test_credentials_of_two_users_give_no_access_together(site: Site) -> None:
    one, other = site.user("admin"), site.user("viewer")
    browser, program = site.signed_in(other), Program(site, one)
    key, key_of_other = site.api_key(one), site.api_key(other)
    mixed: dict[str, tuple[dict[str, str], Any]] = {
        "key and token": ({"X-API-Key": key_of_other, **bearer(program.access)}, None),
        "two keys": ({"X-API-Key": key_of_other, **bearer(key)}, None),
        "key and key by Basic": ({"X-API-Key": key_of_other, **basic(key)}, None),
        "session and key": ({"X-API-Key": key}, browser),
        "session and key by Basic": (basic(key), browser),
        "session and token": (bearer(program.access), browser),
    }
    for name, (headers, visitor) in mixed.items():
        found = statuses_at_endpoints(site, headers, visitor)
        assert (found["api"], found["app"]) == (401, 401), name
        caller = visitor or site.visitor()
        answer = caller.send("GET", "/api/v1/users", None, headers)
        assert code_of(answer) == INVALID, name
    # Each alone, and two of one person, are right.
    assert (
        statuses_at_endpoints(site, {"X-API-Key": key, **bearer(program.access)}) == BY_KEY_OR_TOKEN
    )
    assert statuses_at_endpoints(site, {"X-API-Key": key_of_other}, browser)["app"] == 200
    # A wrong one beside a right one is refused, and never ignored.
    for wrong, api, app in (("gth_x", 403, 401), (f"{program.access}x", 401, 401), ("x", 401, 200)):
        found = statuses_at_endpoints(site, {"X-API-Key": key, **bearer(wrong)})
        assert (found["api"], found["app"]) == (api, app), wrong


def test_a_repeated_header_is_rejected(site: Site) -> None:
    one, other = site.api_key(site.user("editor")), site.api_key(site.user("viewer"))
    lines = {
        "two keys": [f"X-API-Key: {one}", f"x-api-key: {other}"],
        "the same key twice": [f"X-API-Key: {one}", f"X-API-Key: {one}"],
        "two bearers": [f"Authorization: Bearer {one}", f"Authorization: Bearer {other}"],
        "Basic and Bearer": [
            f"Authorization: Bearer {one}",
            f"Authorization: {basic(other)['Authorization']}",
        ],
    }
    for name, said in lines.items():
        text = "\r\n".join(said)
        own = f"GET /api/v1/me HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n{text}\r\n\r\n"
        assert site.visitor().raw(own.encode()).split(b" ")[1] == b"400", name
        app = f"GET / HTTP/1.1\r\nHost: {APP}\r\nConnection: close\r\n{text}\r\n\r\n"
        with site.proxied_app.connect() as stream:
            stream.sendall(app.encode())
            status = stream.recv(65536).split(b" ")[1]
        assert status == b"400", name
    underscore = f"GET /api/v1/me HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\nX_API_Key: {one}"
    answer = site.visitor().raw(f"{underscore}\r\n\r\n".encode())
    assert answer.split(b" ")[1] == b"401"
    in_a_list = {"Authorization": f"Bearer {one}, Bearer {other}"}
    assert code_of(site.visitor().send("GET", "/api/v1/me", None, in_a_list))[0] == 403


def test_a_key_is_accepted_only_where_documented(site: Site) -> None:
    email = site.user("admin")
    key = site.api_key(email, EVERY_SCOPE)
    visitor = site.visitor()
    tries = [
        visitor.send("GET", f"/api/v1/me?api_key={key}&key={key}&X-API-Key={key}&token={key}"),
        visitor.send("POST", KEYS, {"name": "x", "key": key, "api_key": key}),
        visitor.send("GET", "/api/v1/me", None, {"Cookie": f"X-API-Key={key}; api_key={key}"}),
        visitor.send("GET", "/api/v1/me", None, {"Cookie": f"__Host-gatehouse_session={key}"}),
        visitor.send("GET", "/api/v1/me", None, {"Api-Key": key, "X-Auth-Token": key}),
        visitor.send("GET", "/api/v1/me", None, {"Referer": f"{URL}/?key={key}"}),
    ]

    assert [code_of(answer) for answer in tries] == [(401, "not_authenticated")] * len(tries)
    assert count_of_keys(site, email) == 1
    assert site.proxied_app.ask(f"/?api_key={key}").status == 401
    assert (
        statuses_at_endpoints(site, {"Cookie": f"__Secure-gatehouse_gate={key}"})
        == ANONYMOUS_STATUSES
    )


# What a key may make


@pytest.mark.parametrize(
    "more",
    [
        {"scopes": ["read", "owner"]}, {"scopes": "read"}, {"scopes": {"read": True}},
        {"scopes": ["read"] * 21}, {"scopes": [["read"]]}, {"name": ["x"]}, {"name": ""},
        {"expires_at": None}, {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59Z"}, {"expires_at": "2027-01-31T12:00:00"},
        {"expires_at": 0}, {"networks": ["x"]}, {"networks": "10.0.0.0/8"},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_key_requests_are_rejected(site: Site, more: Any) -> None:
    email, key = _admin(site)
    before = count_of_keys(site, email)

    answer = site.visitor().send("POST", KEYS, {"name": "x", **more}, {"X-API-Key": key})

    assert code_of(answer) == UNKNOWN
    assert count_of_keys(site, email) == before


def test_server_side_fields_of_a_key_cannot_be_set(site: Site) -> None:
    owner = site.user("owner")
    email, key = _admin(site)
    owner_id = site.drive(f"result = str(User.objects.get(email={owner!r}).pk)")
    more = {
        "user": owner_id, "user_id": owner_id, "userId": owner_id, "owner": owner, "role": "owner",
        "hash": "0" * 64, "digest": "0" * 64, "prefix": "x", "id": "AAAAAAAAAA", "key": "gth_x",
        "secret": "x", "created_at": "2020-01-01T00:00:00Z", "revoked_at": "2020-01-01T00:00:00Z",
        "rotated_at": "2020-01-01T00:00:00Z", "last_used_at": "2020-01-01T00:00:00Z",
        "state": "ended", "is_active": False, "actor": {"role": "owner"},
    }  # fmt: skip

    before = count_of_keys(site, email)
    answer = site.visitor().send("POST", KEYS, {"name": "x", **more}, {"X-API-Key": key})
    assert code_of(answer) == (402, "record_invalid")
    assert set(json.loads(answer.body)["errors"]) == set(more)
    assert count_of_keys(site, email) == before

    answer = site.visitor().send("POST", KEYS, {"name": "x"}, {"X-API-Key": key})
    made = json.loads(answer.body)
    row = site.drive(
        f"row = ApiKey.objects.get(pk={made['id']!r})\n"
        "result = [row.user.email, row.scopes, row.revoked_at, row.last_used_at, row.rotated_at,"
        " row.digest == '0' * 64, row.created_at.year == 2020]"
    )
    assert answer.status == 201
    assert (made["id"] == "AAAAAAAAAA", made["key"] == "gth_x") == (False, False)
    assert row == [email, ["read"], None, None, None, False, False]
    assert statuses_at_endpoints(site, {"X-API-Key": made["key"]}) == BY_KEY_OR_TOKEN
    assert code_of(
        site.visitor().send("GET", "/api/v1/users", None, {"X-API-Key": made["key"]})
    ) == (403, "forbidden")


_admins: dict[int, tuple[str, str]] = {}


def _admin(site: Site) -> tuple[str, str]:
    """One admin for all who ask at this site, and a key with every scope."""
    if id(site) not in _admins:
        email = site.user("admin")
        _admins[id(site)] = email, site.api_key(email, EVERY_SCOPE)
    return _admins[id(site)]


def test_a_key_creates_no_key_with_more_scopes_or_a_longer_life(site: Site) -> None:
    email = site.user("admin")
    narrow = site.api_key(email, ("read", "users"))
    site.drive(
        f"ApiKey.objects.filter(pk={narrow[4:14]!r}).update(expires_at=now() + timedelta(days=2))"
    )
    visitor, headers = site.visitor(), {"X-API-Key": narrow}
    editor = {"X-API-Key": site.api_key(site.user("editor"), EVERY_SCOPE)}
    before = count_of_keys(site, email)

    wider = visitor.send("POST", KEYS, {"name": "x", "scopes": list(EVERY_SCOPE)}, headers)
    longer = visitor.send("POST", KEYS, {"name": "x", "expires_at": in_days(3)}, headers)
    by_editor = visitor.send("POST", KEYS, {"name": "x", "scopes": ["read"]}, editor)
    without_credential = visitor.send("POST", KEYS, {"name": "x", "userId": 1, "user": email})

    assert [code_of(answer) for answer in (wider, longer)] == [UNKNOWN, UNKNOWN]
    assert code_of(by_editor) == (403, "forbidden")
    assert code_of(without_credential) == (401, "not_authenticated")
    assert count_of_keys(site, email) == before
    # A scope that its owner's role has not is none.
    assert code_of(visitor.send("GET", "/api/v1/users", None, editor)) == (403, "forbidden")
    for scopes, method, wanted in (
        (("write",), "GET", 403),
        (("read",), "POST", 403),
        (("service",), "GET", 403),
        (("read",), "GET", 200),
    ):
        key = site.api_key(email, scopes)
        assert site.proxied_app.ask("/", {"X-API-Key": key}, method).status == wanted, (
            scopes,
            method,
        )


def test_keys_of_others_are_not_found(site: Site) -> None:
    _email, key = _admin(site)
    victim = site.user("viewer")
    other, visitor = site.api_key(victim), site.visitor()
    path, headers = f"{KEYS}/{other[4:14]}", {"X-API-Key": key}
    tries = {
        ("GET", path): (404, "not_found"),
        ("DELETE", path): (404, "not_found"),
        ("POST", f"{path}/rotate"): (404, "not_found"),
        ("PATCH", path): (405, "method_not_allowed"),
        ("PUT", path): (405, "method_not_allowed"),
        ("GET", f"{KEYS}?user={victim}"): (400, "invalid"),
    }
    found = {}
    for method, where in tries:
        body = {"overlap": 0} if method == "POST" else {"scopes": []} if method[0] == "P" else None
        answer = visitor.send(method, where, body, headers)
        assert other[4:14] not in answer.text
        found[method, where] = code_of(answer)

    assert found == tries
    assert statuses_at_endpoints(site, {"X-API-Key": other}) == BY_KEY_OR_TOKEN


def test_a_key_is_shown_once_and_never_stored(site: Site) -> None:
    _email, key = _admin(site)
    visitor, headers = site.visitor(), {"X-API-Key": key}
    answer = visitor.send("POST", KEYS, {"name": "told once", "scopes": ["read"]}, headers)
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    text = json.loads(answer.body)["key"]
    secret = text[15:58]
    owner = site.signed_in(site.user("owner"))
    read = [
        visitor.send("GET", KEYS, None, headers),
        visitor.send("GET", f"{KEYS}/{text[4:14]}", None, headers),
        visitor.send("GET", "/api/v1/me/export", None, headers),
        visitor.send("GET", "/api/v1/audit-events", None, headers),
        owner.get("/admin/api/apikey/"),
        owner.get("/admin/audit/auditevent/"),
        owner.get("/admin/mail/outboxmail/"),
    ]
    visitor.send("GET", f"/api/v1/me?key={text}")
    visitor.send("GET", "/api/v1/users", None, {"X-API-Key": f"{text[:-1]}!"})

    assert [page.status for page in read] == [200] * len(read)
    assert all(secret not in page.text for page in read)
    assert text[4:14] in read[0].text
    assert secret not in site.server.output()
    rows = site.drive(
        "from django.apps import apps\n"
        f"result = [model.__name__ for model in apps.get_models()"
        f" if {secret!r} in str(list(model.objects.values()[:2000]))]"
    )
    assert rows == []
    assert secret not in site.front.written()


# What other programs see of the signing keys


def test_keys_are_published_before_they_sign_and_trusted_until_tokens_expire(site: Site) -> None:
    program, visitor = Program(site, site.user("viewer")), site.visitor()
    first = visitor.get("/.well-known/jwks.json")
    rotate = (
        "from django.core.management import call_command\nimport io\n"
        "call_command('rotatekeys', {!r}, '--yes', stdout=io.StringIO())\nresult = True"
    )
    site.drive(rotate.format("--now"))
    second = visitor.get("/.well-known/jwks.json")
    newer = Program(site, program.email)

    kids = [[key["kid"] for key in json.loads(each.body)["keys"]] for each in (first, second)]
    assert first.headers["cache-control"] == "public, max-age=300"
    assert all("d" not in key for each in (first, second) for key in json.loads(each.body)["keys"])
    assert set(kids[0]) < set(kids[1])
    _verified(newer.access, second.body)
    _verified(program.access, second.body)
    assert jwt.get_unverified_header(newer.access)["kid"] not in kids[0]
    for each in (program, newer):
        assert statuses_at_endpoints(site, bearer(each.access)) == BY_KEY_OR_TOKEN

    site.drive(rotate.format("--emergency"))
    third = visitor.get("/.well-known/jwks.json")

    assert not {key["kid"] for key in json.loads(third.body)["keys"]} & set(kids[1])
    for each in (program, newer):
        assert statuses_at_endpoints(site, bearer(each.access)) == ANONYMOUS_STATUSES
        again = each.post("/refresh", {"refresh": each.refresh})
        assert statuses_at_endpoints(site, bearer(again["access"])) == BY_KEY_OR_TOKEN
        _verified(again["access"], third.body)


def _verified(token: str, key_set: bytes) -> None:
    """As a backend does it, by the library PyJWT."""
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWKSet.from_dict(json.loads(key_set))[kid]
    jwt.decode(token, key.key, ["ES256"], audience=URL, issuer=URL)
