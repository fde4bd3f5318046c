"""Refresh tokens: single use, reuse ends the sign-in, and so does lost access at once."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, User
from accounts.services import passwords, sessions, users
from api.models import TokenFamily
from api.tokens import refresh_tokens, signing_keys
from api.tokens.jwt import REFRESH_PATH
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound
from mail.models import OutboxMail
from tests.api.calls import call
from tests.api.tokens import decoded, encoded, me, outcome, post, refreshed, sign_in
from tests.conftest import PASSWORD, text_of

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
BrowserOf = Callable[[User], Client]
INVALID, EXPIRED = (401, "token_invalid"), (401, "token_expired")
SECOND = timedelta(seconds=1)
OTHER_SECRET = "another-secret-for-refresh-tokens-0123456789"


def next_of(token: str) -> str:
    """The successor of a refresh token."""
    answer = refreshed(token)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["refresh"])


def reuses() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="api:token:reuse"))


def resigned(token: str, secret: bytes | None = None, **claims: Any) -> str:
    """A refresh token with other claims, signed with the secret alone."""
    body = {**decoded(token.split(".")[1]), **claims}
    return jwt.encode(
        {name: value for name, value in body.items() if value is not None},
        secret or signing_keys.refresh_secret(),
        "HS256",
        headers={"typ": "rt+jwt"},
    )


def test_a_refresh_gives_a_new_pair_of_the_same_family(viewer: User) -> None:
    body = sign_in(viewer)
    answer = refreshed(body["refresh"])
    new = answer.json()

    assert answer.status_code == 200
    assert new.keys() == body.keys()
    assert new["refresh"] != body["refresh"]
    assert new["access"] != body["access"]
    assert new["user"]["id"] == str(viewer.pk)
    assert me(new["access"]).status_code == me(body["access"]).status_code == 200
    family = TokenFamily.objects.get()
    assert (family.generation, family.ended_at) == (1, None)


def test_the_claims_say_family_and_generation_and_nothing_personal(viewer: User) -> None:
    token = next_of(sign_in(viewer)["refresh"])
    header, claims = (decoded(part) for part in token.split(".")[:2])
    family = TokenFamily.objects.get()

    assert header == {"alg": "HS256", "typ": "rt+jwt"}
    assert claims.keys() == {"iss", "sub", "sid", "aud", "iat", "exp", "gen", "jti"}
    assert (claims["sid"], claims["gen"]) == (str(family.pk), 1)
    assert claims["aud"] == f"http://localhost:8000{REFRESH_PATH}"
    assert claims["exp"] == int(family.expires_at.timestamp())
    assert family.seed not in str(claims)


def test_the_end_of_the_family_never_moves(viewer: User, at_time: AtTime) -> None:
    body = sign_in(viewer)
    end = TokenFamily.objects.get().expires_at
    token = body["refresh"]
    for day in range(1, 7):
        at_time(timedelta(days=day))
        token = next_of(token)
    assert TokenFamily.objects.get().expires_at == end
    at_time(timedelta(days=7) - timedelta(minutes=5))
    last = refreshed(token).json()
    assert 290 <= last["refresh_expires_in"] <= 300
    assert last["expires_in"] == last["refresh_expires_in"]
    at_time(timedelta(days=7, seconds=1))
    assert outcome(refreshed(last["refresh"])) == EXPIRED
    assert outcome(me(last["access"])) == EXPIRED
    assert reuses() == []


def test_a083_reuse_ends_the_family_and_sends_a_mail(
    viewer: User, mails: Callable[[], list[OutboxMail]], at_time: AtTime
) -> None:
    other = sign_in(viewer)
    first = sign_in(viewer)
    second = refreshed(first["refresh"]).json()
    next_of(second["refresh"])

    assert outcome(refreshed(first["refresh"])) == INVALID
    assert outcome(refreshed(second["refresh"])) == INVALID
    for access in (first["access"], second["access"]):
        assert outcome(me(access)) == INVALID
    assert me(other["access"]).status_code == 200
    (event,) = reuses()
    assert (event.target_id, event.actor_id, event.result) == (viewer.pk, None, "refused")
    (mail,) = mails()
    assert (mail.kind, mail.recipient) == ("token-reused", viewer.email)
    assert mail.subject == "A program has been signed out"
    assert "http://localhost:8000/password/forgot" in text_of(mail)
    for _ in range(3):
        assert outcome(refreshed(first["refresh"])) == INVALID
    assert (len(reuses()), len(mails())) == (1, 1)


def test_reuse_ends_the_browser_session_of_the_tokens(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    other, browser = browser_of(viewer), browser_of(viewer)
    first = call(browser, "POST", "auth/token/session", {}).json()["refresh"]
    next_of(next_of(first))

    assert outcome(refreshed(first)) == INVALID
    assert outcome(browser.get("/api/v1/me")) == (401, "not_authenticated")
    assert other.get("/api/v1/me").status_code == 200


def test_concurrent_refreshes_get_the_same_successor(viewer: User, at_time: AtTime) -> None:
    first = sign_in(viewer)["refresh"]
    second = next_of(first)
    at_time(9 * SECOND)

    again = refreshed(first).json()
    assert again["refresh"] == second
    assert me(again["access"]).status_code == 200
    assert TokenFamily.objects.get().generation == 1
    assert next_of(second) != second
    assert reuses() == []


def test_a085_only_the_parent_token_has_a_grace_period(viewer: User) -> None:
    first = sign_in(viewer)["refresh"]
    third = next_of(next_of(first))

    assert outcome(refreshed(first)) == INVALID
    assert outcome(refreshed(third)) == INVALID
    assert TokenFamily.objects.get().end_reason == "reused"
    assert len(reuses()) == 1


@pytest.mark.parametrize(
    "late", [SECOND, 11 * SECOND, timedelta(hours=1), timedelta(days=7) - timedelta(minutes=1)]
)
def test_a_lost_response_is_repeated_until_its_successor_is_used(
    viewer: User, at_time: AtTime, late: timedelta
) -> None:
    first = sign_in(viewer)["refresh"]
    second = next_of(first)
    at_time(late)

    for _turn in range(3):
        again = refreshed(first).json()
        assert again["refresh"] == second
    assert me(again["access"]).status_code == 200
    assert again["refresh_expires_in"] <= 7 * 24 * 3600 - late.total_seconds() + 1
    assert TokenFamily.objects.get().generation == 1
    assert reuses() == []
    third = next_of(second)
    assert outcome(refreshed(first)) == INVALID
    assert outcome(refreshed(third)) == INVALID
    assert (TokenFamily.objects.get().end_reason, len(reuses())) == ("reused", 1)


def test_a_lost_response_is_not_repeated_after_the_family_ended(
    viewer: User, at_time: AtTime
) -> None:
    first = sign_in(viewer)["refresh"]
    next_of(first)
    at_time(timedelta(days=7, seconds=1))

    assert outcome(refreshed(first)) == EXPIRED
    assert reuses() == []


def test_a_lost_response_is_not_repeated_for_a_disabled_user(viewer: User) -> None:
    first = sign_in(viewer)["refresh"]
    next_of(first)
    users.disable_user(actor=SYSTEM, user=viewer)

    assert outcome(refreshed(first)) == (403, "account_disabled")


def test_the_stored_secret_alone_is_not_enough_for_a_token(viewer: User) -> None:
    token = sign_in(viewer)["refresh"]
    for claims in (
        {"gen": 1}, {"gen": 0, "jti": "0" * 64}, {"jti": None}, {"jti": 1}, {"jti": "\u00e4"},
        {"gen": -1}, {"gen": True}, {"gen": "0"}, {"gen": None}, {"gen": 10**30},
        {"sub": str(uuid.uuid4())}, {"sid": str(uuid.uuid4())}, {"sid": None},
    ):  # fmt: skip
        assert outcome(refreshed(resigned(token, **claims))) == INVALID
    assert next_of(resigned(token)) != token
    assert reuses() == []


def test_a_token_of_another_issuer_or_audience_is_refused(viewer: User) -> None:
    token = sign_in(viewer)["refresh"]
    for claims in (
        {"iss": "https://evil.example"}, {"aud": "http://localhost:8000"}, {"aud": None},
        {"exp": None}, {"exp": "4102444800"}, {"iat": 4102444800},
    ):  # fmt: skip
        assert outcome(refreshed(resigned(token, **claims))) == INVALID
    assert TokenFamily.objects.get().generation == 0


def test_a_forged_token_costs_no_query(viewer: User, django_assert_num_queries: Any) -> None:
    token = sign_in(viewer)["refresh"]
    first, second, _ = token.split(".")
    forged = (f"{first}.{second}.{encoded(bytes(32))}", resigned(token, b"x" * 32), "x", "a.b.c")

    with django_assert_num_queries(0):
        for text in forged:
            assert outcome(refreshed(text)) == INVALID


def test_a_refresh_is_two_statements(viewer: User, django_assert_num_queries: Any) -> None:
    pair = refresh_tokens.refresh(sign_in(viewer)["refresh"])
    with django_assert_num_queries(2):
        refresh_tokens.refresh(pair.refresh)


def test_a_changed_secret_signs_out_without_an_error(viewer: User, settings: Any) -> None:
    body = sign_in(viewer)
    settings.JWT_REFRESH_SECRET = OTHER_SECRET

    assert outcome(refreshed(body["refresh"])) == INVALID
    assert me(body["access"]).status_code == 200
    assert next_of(sign_in(viewer)["refresh"])
    assert reuses() == []


def test_a_changed_encryption_key_signs_out_and_a_changed_secret_key_does_not(
    viewer: User, settings: Any
) -> None:
    token = sign_in(viewer)["refresh"]
    settings.SECRET_KEY = "quite another secret key, which says nothing about tokens"
    token = next_of(token)
    settings.ENCRYPTION_KEY = b"another key of thirty-two bytes."

    assert outcome(refreshed(token)) == INVALID


def test_a_generation_from_the_future_does_not_end_the_family(viewer: User) -> None:
    """After a backup has been played back."""
    first = sign_in(viewer)["refresh"]
    third = next_of(next_of(first))
    TokenFamily.objects.update(generation=1)

    assert outcome(refreshed(third)) == INVALID
    assert TokenFamily.objects.get().ended_at is None


@pytest.mark.parametrize("body", [{"refresh": 1}, {"refresh": None}, {"refresh": ["x"]}])
def test_a_token_that_is_no_text_is_rejected(body: Any) -> None:
    assert outcome(post("auth/token/refresh", body)) == (402, "record_invalid")


def _disable(user: User, _family: TokenFamily) -> None:
    users.disable_user(actor=SYSTEM, user=user)


def _delete(user: User, _family: TokenFamily) -> None:
    users.delete_user(actor=SYSTEM, user=user)


def _demote(user: User, _family: TokenFamily) -> None:
    users.change_role(actor=SYSTEM, user=user, role="viewer")


def _change_password(user: User, _family: TokenFamily) -> None:
    passwords.change_own_password(user=user, current=PASSWORD, new="seven quiet rivers under ice")


def _sign_out_everywhere(user: User, _family: TokenFamily) -> None:
    sessions.end_sessions(actor=user, user=user)


def _end_session(_user: User, family: TokenFamily) -> None:
    BrowserSession.objects.filter(public_id=family.session_id).delete()


def _end_family(user: User, family: TokenFamily) -> None:
    refresh_tokens.end_family(actor=user, user=user, family_id=family.pk)


OFF = {
    "disabled": (_disable, (403, "account_disabled")),
    "deleted": (_delete, INVALID),
    "demoted": (_demote, INVALID),
    "password changed": (_change_password, INVALID),
    "signed out everywhere": (_sign_out_everywhere, INVALID),
    "session ended": (_end_session, INVALID),
    "family ended": (_end_family, INVALID),
}
# Tokens of a password have no session that could end.
CASES = [(way, by) for way in OFF for by in ("password", "session")]
CASES.remove(("session ended", "password"))


@pytest.mark.parametrize("kind", ["access", "refresh"])
@pytest.mark.parametrize(("way", "by"), CASES)
def test_a087_lost_access_ends_refresh_at_once(
    editor: User, browser_of: BrowserOf, way: str, kind: str, by: str
) -> None:
    if by == "session":
        body = call(browser_of(editor), "POST", "auth/token/session", {}).json()
    else:
        body = sign_in(editor)
    act, expected = OFF[way]
    use = me if kind == "access" else refreshed
    act(editor, TokenFamily.objects.get())

    assert outcome(use(body[kind])) == expected
    cache.clear()
    assert outcome(use(body[kind])) == expected
    assert reuses() == []


def test_enabling_an_account_does_not_revive_its_tokens(editor: User) -> None:
    body = sign_in(editor)
    users.disable_user(actor=SYSTEM, user=editor)
    users.enable_user(actor=SYSTEM, user=editor)

    assert outcome(me(body["access"])) == INVALID
    assert outcome(refreshed(body["refresh"])) == INVALID
    assert next_of(sign_in(editor)["refresh"])


def test_users_list_and_end_their_sign_ins(viewer: User, editor: User) -> None:
    ended, living, newest, foreign = (
        refresh_tokens.start_by_password(user, timezone.now()).family
        for user in (viewer, viewer, viewer, editor)
    )
    refresh_tokens.end_family(actor=viewer, user=viewer, family_id=ended.pk)

    assert refresh_tokens.own_families(viewer) == [newest, living]
    for family in (ended, foreign):
        with pytest.raises(NotFound):
            refresh_tokens.end_family(actor=viewer, user=viewer, family_id=family.pk)
    with pytest.raises(Forbidden):
        refresh_tokens.end_family(actor=viewer, user=editor, family_id=foreign.pk)
    (event,) = AuditEvent.objects.filter(action="api:token:end")
    assert event.detail == {"family": str(ended.pk)}


def test_administrators_end_the_sign_ins_of_users_they_manage(
    viewer: User, admin: User, owner: User
) -> None:
    ours, theirs = (
        refresh_tokens.start_by_password(user, timezone.now()).family for user in (viewer, owner)
    )
    refresh_tokens.end_family(actor=admin, user=viewer, family_id=ours.pk)

    assert refresh_tokens.own_families(viewer) == []
    with pytest.raises(Forbidden):
        refresh_tokens.end_family(actor=admin, user=owner, family_id=theirs.pk)


def test_sign_ins_that_ended_otherwise_are_not_listed(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    call(browser_of(viewer), "POST", "auth/token/session", {})
    assert len(refresh_tokens.own_families(viewer)) == 1
    BrowserSession.objects.all().delete()
    assert refresh_tokens.own_families(viewer) == []
    sign_in(viewer)
    at_time(timedelta(days=7, seconds=1))
    assert refresh_tokens.own_families(viewer) == []


def test_old_families_are_deleted(viewer: User, at_time: AtTime) -> None:
    ended = refresh_tokens.start_by_password(viewer, timezone.now()).family
    sign_in(viewer)
    refresh_tokens.end_family(actor=viewer, user=viewer, family_id=ended.pk)

    assert refresh_tokens.purge_families(at_time(timedelta(days=20)) - timedelta(days=30)) == 0
    assert refresh_tokens.purge_families(at_time(timedelta(days=31)) - timedelta(days=30)) == 1
    assert refresh_tokens.purge_families(at_time(timedelta(days=38)) - timedelta(days=30)) == 1
    assert TokenFamily.objects.count() == 0


def test_no_secret_of_a_token_is_logged(viewer: User, caplog: pytest.LogCaptureFixture) -> None:
    body = sign_in(viewer)
    body = refreshed(body["refresh"]).json()
    refreshed("wrong")
    family = TokenFamily.objects.get()
    written = caplog.text + str(list(AuditEvent.objects.values())) + repr(family) + str(family)

    for secret in (body["access"], body["refresh"], family.seed, body["refresh"].split(".")[2]):
        assert secret not in written
