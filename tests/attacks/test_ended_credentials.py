"""What a person had in hand when their access ended, at every door."""

import json

import pytest

from tests.attacks.endpoints import BY_KEY_OR_TOKEN, SHUT, bearer, code_of, knock
from tests.attacks.programs import TOKEN, Program
from tests.attacks.site import PASSWORD, Site, Visitor

KNOWN = SHUT | {"api": 403, "app": 403}
KEY_GONE = SHUT | {"api": 403}
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
        (SHUT, KNOWN, INVALID, (403, "banned")),
    ),
    "password": (
        ("POST", "/password", {"password": "another long battery"}),
        (SHUT, KEY_GONE, INVALID, (401, "bad_credentials")),
    ),
    # Sessions and tokens name the role; a key reaches as far as its owner's role of the moment.
    "demoted": (
        ("PATCH", "", {"role": "viewer"}),
        (SHUT, BY_KEY_OR_TOKEN, INVALID, (200, "")),
    ),
    "without a role": (
        ("PATCH", "", {"role": "none"}),
        (SHUT, BY_KEY_OR_TOKEN | {"app": 403}, INVALID, (200, "")),
    ),
    "signed out": (
        ("DELETE", "/sessions", None),
        (SHUT, BY_KEY_OR_TOKEN, INVALID, (200, "")),
    ),
    "deleted": (
        ("DELETE", "", None),
        (SHUT, KEY_GONE, INVALID, (401, "bad_credentials")),
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
def test_nothing_opens_a_door_that_was_shut(site: Site, owner: Visitor, fate: str) -> None:
    (method, path, body), (by_token, by_key, by_refresh, by_password) = FATES[fate]
    email = site.user("editor")
    browser, program, key = site.signed_in(email), Program(site, email), site.api_key(email)
    user_id = program.pair["user"]["id"]
    right = [knock(site, {}, browser), knock(site, bearer(program.access)),
             knock(site, {"X-API-Key": key})]  # fmt: skip

    answer = owner.send(method, f"/api/v1/users/{user_id}{path}", body)

    assert answer.status in {200, 201, 204}, answer.text
    by_session = {"page": 200, "api": 200, "app": 200, "admin": 403, "session tokens": 403}
    assert right == [by_session, BY_KEY_OR_TOKEN, BY_KEY_OR_TOKEN]
    assert knock(site, {}, browser) == SHUT
    assert knock(site, bearer(program.access)) == by_token
    assert knock(site, {"X-API-Key": key}) == by_key
    visitor = site.visitor()
    refreshed = visitor.send("POST", f"{TOKEN}/refresh", {"refresh": program.refresh})
    assert code_of(refreshed) == by_refresh
    signed_in = visitor.send("POST", TOKEN, {"email": email, "password": PASSWORD})
    assert code_of(signed_in) == by_password


def test_a_key_that_was_revoked_expired_or_moved_away_opens_no_door(site: Site) -> None:
    email = site.user("editor")

    for change in (
        "revoked_at=now()",
        "expires_at=now() - timedelta(seconds=1)",
        'networks=["203.0.113.0/24"]',
    ):
        headers = {"X-API-Key": site.api_key(email)}
        assert knock(site, headers) == BY_KEY_OR_TOKEN
        key_id = headers["X-API-Key"][4:14]
        site.drive(f"ApiKey.objects.filter(pk={key_id!r}).update({change})")
        assert knock(site, headers) == KEY_GONE, change


def test_a_revoked_key_is_refused_by_the_very_next_request(site: Site) -> None:
    email = site.user("admin")
    key = site.api_key(email, ("read", "write", "users"))
    headers = {"X-API-Key": key}
    visitor = site.visitor()
    assert knock(site, headers) == BY_KEY_OR_TOKEN

    rotated = visitor.send("POST", f"/api/v1/api-keys/{key[4:14]}/rotate", {"overlap": 0}, headers)
    successor = {"X-API-Key": json.loads(rotated.body)["key"]}

    assert rotated.status == 201
    assert knock(site, headers) == KEY_GONE
    assert knock(site, successor) == BY_KEY_OR_TOKEN
    path = f"/api/v1/api-keys/{successor['X-API-Key'][4:14]}"
    assert visitor.send("DELETE", path, None, successor).status == 204
    assert knock(site, successor) == KEY_GONE
    assert code_of(visitor.send("DELETE", path, None, successor)) == (403, "api_key_invalid")
