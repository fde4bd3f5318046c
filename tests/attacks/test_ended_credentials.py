"""Credentials of a user whose access has ended, at every endpoint."""

import json

import pytest

from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.programs import TOKEN, Program
from tests.attacks.site import PASSWORD, Site, Visitor

KNOWN = ANONYMOUS_STATUSES | {"api": 403, "app": 403}
KEY_GONE = ANONYMOUS_STATUSES | {"api": 403}
INVALID = (401, "token_invalid")
# method, path below the person, body; and then: what the token, the key, the refresh token and the
# password are worth. A session is worth nothing after any of them.
FATES = {
    "disabled": (
        ("PATCH", "", {"is_active": False}),
        (KNOWN, KNOWN, (403, "account_disabled"), (403, "account_disabled")),
    ),
    "banned": (
        ("POST", "/ban", {"reason": "a test"}),
        (ANONYMOUS_STATUSES, KNOWN, INVALID, (403, "banned")),
    ),
    "password": (
        ("POST", "/password", {"password": "another long battery"}),
        (ANONYMOUS_STATUSES, KEY_GONE, INVALID, (401, "bad_credentials")),
    ),
    # Sessions and tokens name the role; a key reaches as far as its owner's role of the moment.
    "demoted": (
        ("PATCH", "", {"role": "viewer"}),
        (ANONYMOUS_STATUSES, BY_KEY_OR_TOKEN, INVALID, (200, "")),
    ),
    "without a role": (
        ("PATCH", "", {"role": "none"}),
        (ANONYMOUS_STATUSES, BY_KEY_OR_TOKEN | {"app": 403}, INVALID, (200, "")),
    ),
    "signed out": (
        ("DELETE", "/sessions", None),
        (ANONYMOUS_STATUSES, BY_KEY_OR_TOKEN, INVALID, (200, "")),
    ),
    "deleted": (
        ("DELETE", "", None),
        (ANONYMOUS_STATUSES, KEY_GONE, INVALID, (401, "bad_credentials")),
    ),
}


@pytest.fixture(scope="module")
def owner(site: Site) -> Visitor:
    """A program of an owner; its key goes with each request."""
    key = site.api_key(site.user("owner"), ("read", "write", "users", "moderation"))
    visitor = site.visitor()
    visitor.headers = {"X-API-Key": key}
    return visitor


@pytest.mark.parametrize("fate", FATES)
def test_no_ended_credential_gives_access(site: Site, owner: Visitor, fate: str) -> None:
    (method, path, body), (by_token, by_key, by_refresh, by_password) = FATES[fate]
    email = site.user("editor")
    browser, program, key = site.signed_in(email), Program(site, email), site.api_key(email)
    user_id = program.pair["user"]["id"]
    right = [
        statuses_at_endpoints(site, {}, browser),
        statuses_at_endpoints(site, bearer(program.access)),
        statuses_at_endpoints(site, {"X-API-Key": key}),
    ]

    answer = owner.send(method, f"/api/v1/users/{user_id}{path}", body)

    assert answer.status in {200, 201, 204}, answer.text
    by_session = {"page": 200, "api": 200, "app": 200, "admin": 403, "session tokens": 403}
    assert right == [by_session, BY_KEY_OR_TOKEN, BY_KEY_OR_TOKEN]
    assert statuses_at_endpoints(site, {}, browser) == ANONYMOUS_STATUSES
    assert statuses_at_endpoints(site, bearer(program.access)) == by_token
    assert statuses_at_endpoints(site, {"X-API-Key": key}) == by_key
    visitor = site.visitor()
    refreshed = visitor.send("POST", f"{TOKEN}/refresh", {"refresh": program.refresh})
    assert code_of(refreshed) == by_refresh
    signed_in = visitor.send("POST", TOKEN, {"email": email, "password": PASSWORD})
    assert code_of(signed_in) == by_password


def test_a_revoked_expired_or_misplaced_key_gives_no_access(site: Site) -> None:
    email = site.user("editor")

    for change in (
        "revoked_at=now()",
        "expires_at=now() - timedelta(seconds=1)",
        'networks=["203.0.113.0/24"]',
    ):
        headers = {"X-API-Key": site.api_key(email)}
        assert statuses_at_endpoints(site, headers) == BY_KEY_OR_TOKEN
        key_id = headers["X-API-Key"][4:14]
        site.drive(f"ApiKey.objects.filter(pk={key_id!r}).update({change})")
        assert statuses_at_endpoints(site, headers) == KEY_GONE, change


def test_a_revoked_key_is_rejected_by_the_next_request(site: Site) -> None:
    email = site.user("admin")
    key = site.api_key(email, ("read", "write", "users"))
    headers = {"X-API-Key": key}
    visitor = site.visitor()
    assert statuses_at_endpoints(site, headers) == BY_KEY_OR_TOKEN

    rotated = visitor.send("POST", f"/api/v1/api-keys/{key[4:14]}/rotate", {"overlap": 0}, headers)
    successor = {"X-API-Key": json.loads(rotated.body)["key"]}

    assert rotated.status == 201
    assert statuses_at_endpoints(site, headers) == KEY_GONE
    assert statuses_at_endpoints(site, successor) == BY_KEY_OR_TOKEN
    path = f"/api/v1/api-keys/{successor['X-API-Key'][4:14]}"
    assert visitor.send("DELETE", path, None, successor).status == 204
    assert statuses_at_endpoints(site, successor) == KEY_GONE
    assert code_of(visitor.send("DELETE", path, None, successor)) == (403, "api_key_invalid")
