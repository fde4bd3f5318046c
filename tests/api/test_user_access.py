"""People's keys, sign-ins and second factors, for administrators: rank, effect, audit row."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import BrowserSession, User
from api.models import ApiKey, TokenFamily
from audit.models import AuditEvent
from mail.models import OutboxMail
from mfa.models import Authenticator
from tests.api.calls import call, problem
from tests.api.keys import call_with, made
from tests.api.tokens import sign_in
from tests.conftest import MakeUser
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


def events(action: str) -> list[tuple[Any, Any]]:
    found = AuditEvent.objects.filter(action=action).order_by("seq")
    return [(event.actor_id, event.target_id) for event in found]


def test_administrators_see_and_revoke_a_users_keys(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    issued, other = made(viewer), made(admin)
    browser, path = browser_of(admin), f"users/{viewer.pk}/api-keys"

    (listed,) = call(browser, "GET", path).json()["results"]
    assert (listed["id"], listed["state"]) == (issued.key.pk, "live")
    assert issued.text not in str(listed)
    assert problem(call(browser, "DELETE", f"{path}/{other.key.pk}")) == (404, "not_found")
    assert call(browser, "DELETE", f"{path}/{issued.key.pk}").status_code == 204
    assert problem(call_with(issued.text, "GET", "me")) == (403, "api_key_invalid")
    assert call(browser, "GET", path).json()["results"][0]["state"] == "revoked"
    assert problem(call(browser, "DELETE", f"{path}/{issued.key.pk}")) == (404, "not_found")
    assert events("api:key:revoke") == [(admin.pk, viewer.pk)]


def test_administrators_see_and_end_a_users_sign_ins(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    theirs, token = browser_of(viewer), sign_in(viewer)["access"]
    browser, path = browser_of(admin), f"users/{viewer.pk}/sessions"

    rows = call(browser, "GET", path).json()["results"]
    assert sorted(row["kind"] for row in rows) == ["browser", "tokens"]
    assert [row["is_current"] for row in rows] == [False, False]
    for row in rows:
        assert call(browser, "DELETE", f"{path}/{row['id']}").status_code == 204
        assert problem(call(browser, "DELETE", f"{path}/{row['id']}")) == (404, "not_found")
    assert call(browser, "GET", path).json()["results"] == []
    assert problem(call(theirs, "GET", "me")) == (401, "not_authenticated")
    headers = {"authorization": f"Bearer {token}"}
    assert problem(Client().get("/api/v1/me", headers=headers)) == (401, "token_invalid")
    assert events("account:session:end") == events("api:token:end") == [(admin.pk, viewer.pk)]


def test_a_sign_in_of_somebody_else_is_not_found_there(
    admin: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser_of(editor)
    sign_in(editor)
    keys = [row.public_id for row in BrowserSession.objects.filter(user=editor)]
    keys += [row.pk for row in TokenFamily.objects.filter(user=editor)]
    browser = browser_of(admin)

    for key in keys:
        answer = call(browser, "DELETE", f"users/{viewer.pk}/sessions/{key}")
        assert problem(answer) == (404, "not_found")
    assert len(keys) == 2
    assert BrowserSession.objects.filter(user=editor).exists()
    assert TokenFamily.objects.filter(user=editor, ended_at=None).exists()


def test_second_factors_are_listed_and_reset(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    theirs = browser_of(viewer)
    set_up_app(viewer)
    browser, path = browser_of(admin), f"users/{viewer.pk}/second-factors"

    (listed,) = call(browser, "GET", path).json()["results"]
    assert set(listed) == {"id", "kind", "name", "created_at", "last_used_at"}
    assert listed["kind"] == "totp"
    assert call(browser, "DELETE", path).status_code == 204
    assert not Authenticator.objects.filter(user=viewer).exists()
    assert not viewer.recovery_codes.exists()
    assert problem(call(theirs, "GET", "me")) == (401, "not_authenticated")
    assert events("account:factor:reset") == [(admin.pk, viewer.pk)]
    assert OutboxMail.objects.filter(kind="factors-reset", user=viewer).count() == 1
    assert problem(call(browser, "DELETE", path)) == (404, "not_found")


def test_nobody_resets_the_own_factors_by_api(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    set_up_app(owner)

    answer = call(browser, "DELETE", f"users/{owner.pk}/second-factors")

    assert problem(answer) == (402, "record_invalid")
    assert Authenticator.objects.filter(user=owner).exists()


def test_nobody_acts_on_the_own_rank_or_above(
    admin: User, owner: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    for user in (owner, make_user("admin")):
        key, session = made(user).key, browser_of(user) and user.sessions.get()
        set_up_app(user)
        sign_in_id = TokenFamily.objects.filter(user=user).values_list("pk", flat=True).first()
        for path in (
            f"api-keys/{key.pk}",
            f"sessions/{session.public_id}",
            f"sessions/{sign_in_id or uuid.uuid4()}",
            "sessions",
            "second-factors",
        ):
            answer = call(browser, "DELETE", f"users/{user.pk}/{path}")
            assert problem(answer) == (403, "forbidden"), path
        assert ApiKey.objects.get(pk=key.pk).revoked_at is None
        assert user.sessions.count() == 1
        assert Authenticator.objects.filter(user=user).exists()
        for path in ("api-keys", "sessions", "second-factors"):
            assert len(call(browser, "GET", f"users/{user.pk}/{path}").json()["results"]) == 1


def test_the_own_keys_and_sign_ins_are_there_too(admin: User, browser_of: BrowserOf) -> None:
    browser, key = browser_of(admin), made(admin).key
    (row,) = call(browser, "GET", f"users/{admin.pk}/sessions").json()["results"]

    assert row["is_current"]
    assert call(browser, "DELETE", f"users/{admin.pk}/api-keys/{key.pk}").status_code == 204
    assert call(browser, "DELETE", f"users/{admin.pk}/sessions/{row['id']}").status_code == 204
    assert problem(call(browser, "GET", "me")) == (401, "not_authenticated")
