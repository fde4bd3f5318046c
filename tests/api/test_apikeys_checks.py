"""Checks of API keys at each request: user, network, quota."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from accounts.services.users import change_role, delete_user, disable_user
from api.apikeys import key_format, quota
from api.apikeys.authenticate import ApiKeyMalformed, authenticate_key, context_for_key
from api.apikeys.services import revoke_key, state_of
from api.errors import ApiKeyInvalid
from api.models import ApiKey
from api.permissions import Scope
from core import counters
from core.errors import AccessDenied, NotFound, RateLimited
from tests.api.keys import HERE, in_days, made

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
MakeUser = Callable[..., User]
DAY = timedelta(days=1)


# Checking


def test_a_valid_key_authenticates_its_owner(editor: User) -> None:
    issued = made(editor, scopes=["read", "write"])

    key = authenticate_key(issued.text, HERE)

    assert (key.pk, key.user, list(key.scopes)) == (issued.key.pk, editor, ["read", "write"])
    assert key.user.created_at == editor.created_at
    assert key.expires_at == issued.key.expires_at
    assert context_for_key(key).scopes == {Scope.READ, Scope.WRITE}


def test_a_mistyped_key_costs_no_query(
    viewer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    text = made(viewer).text
    typed = text[:-1] + ("a" if text[-1] != "a" else "b")

    with django_assert_num_queries(0), pytest.raises(ApiKeyMalformed):
        authenticate_key(typed, HERE)


def test_a_check_costs_one_statement(
    viewer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    text = made(viewer).text
    authenticate_key(text, HERE)

    with django_assert_num_queries(1):
        authenticate_key(text, HERE)
    with django_assert_num_queries(1), pytest.raises(ApiKeyInvalid):
        authenticate_key(key_format.make().text, HERE)


def test_a_damaged_scope_gives_nothing(viewer: User) -> None:
    issued = made(viewer)
    ApiKey.objects.update(scopes=[["read"], {"write": 1}, 7, "users", "read"])
    key = authenticate_key(issued.text, HERE)

    assert context_for_key(key).scopes == {"read"}


def test_the_secret_of_another_key_is_rejected(viewer: User, admin: User) -> None:
    mine, theirs = made(viewer), made(admin)
    mixed = f"gth_{theirs.key.pk}_{mine.text[15:58]}"

    with pytest.raises(ApiKeyInvalid):
        authenticate_key(mixed + key_format.checksum(mixed), HERE)


def test_a_digest_is_not_accepted_as_a_key(viewer: User) -> None:
    key = made(viewer).key
    body = f"gth_{key.pk}_{key.digest[:43]}"

    with pytest.raises(ApiKeyInvalid):
        authenticate_key(body + key_format.checksum(body), HERE)


def test_keys_survive_a_changed_secret_key(viewer: User, settings: Any) -> None:
    text = made(viewer).text
    settings.SECRET_KEY = "another secret key that is long enough for the check of Django" * 2

    assert authenticate_key(text, HERE).user == viewer


def test_a_key_expires_on_time(viewer: User, at_time: AtTime) -> None:
    issued = made(viewer, expires_at=in_days(1))
    at_time(DAY - timedelta(seconds=5))
    assert authenticate_key(issued.text, HERE).user == viewer

    at_time(DAY + timedelta(seconds=5))

    with pytest.raises(ApiKeyInvalid, match="expired"):
        authenticate_key(issued.text, HERE)
    assert state_of(issued.key, timezone.now()) == "expired"


def test_a_revoked_key_ends_at_once(viewer: User) -> None:
    issued = made(viewer)
    revoke_key(actor=viewer, key=issued.key)

    with pytest.raises(ApiKeyInvalid, match="revoked"):
        authenticate_key(issued.text, HERE)
    with pytest.raises(NotFound):
        revoke_key(actor=viewer, key=issued.key)


def _disabled(user: User, owner: User) -> None:
    disable_user(actor=owner, user=user)


def _deleted(user: User, owner: User) -> None:
    delete_user(actor=owner, user=user)


def _new_password(user: User, owner: User) -> None:
    set_password(actor=owner, user=user, new="violet umbrella marathon kettle")


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (_disabled, AccessDenied),
        (_deleted, ApiKeyInvalid),
        (_new_password, ApiKeyInvalid),
    ],
)
def test_keys_are_rejected_as_soon_as_access_ends(
    editor: User, owner: User, act: Callable[[User, User], None], error: type[Exception]
) -> None:
    text = made(editor).text
    authenticate_key(text, HERE)

    act(User.objects.get(pk=editor.pk), owner)

    with pytest.raises(error) as caught:
        authenticate_key(text, HERE)
    assert caught.type is error
    key = ApiKey.objects.select_related("user").filter(user__email=editor.email).first()
    assert key is None or state_of(key, timezone.now()) == "ended"


def test_a_key_made_after_a_sign_out_works(viewer: User) -> None:
    end_sessions(actor=viewer, user=viewer)
    viewer.refresh_from_db()

    assert authenticate_key(made(viewer).text, HERE).user == viewer


def test_stored_scopes_are_limited_by_the_role(viewer: User) -> None:
    issued = made(viewer)
    ApiKey.objects.update(scopes=["read", "write", "users"])

    assert context_for_key(authenticate_key(issued.text, HERE)).scopes == {Scope.READ}


@pytest.mark.parametrize(
    ("networks", "ip", "is_let_in"),
    [
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.9", True),
        (["::ffff:192.0.2.0/120"], "192.0.2.9", True),
        (["192.0.2.0/24"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:DB8::1%eth0", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "192.0.2.1", False),
        (["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", True),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "::1", False),
        ([], "", True),
    ],
)
def test_a_key_works_only_from_its_networks(
    viewer: User, networks: list[str], ip: str, is_let_in: bool
) -> None:
    text = made(viewer, networks=networks).text

    if is_let_in:
        assert authenticate_key(text, ip).user == viewer
    else:
        with pytest.raises(ApiKeyInvalid):
            authenticate_key(text, ip)


# The note of the last use


def test_a_hundred_uses_write_last_used_once(viewer: User) -> None:
    text = made(viewer).text

    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _number in range(100):
            authenticate_key(text, "192.0.2.7")

    writes = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    notes = [sql for sql in writes if "api_apikey" in sql]
    assert len(notes) == 1
    row = ApiKey.objects.get()
    assert row.last_used_ip == "192.0.2.7"
    assert row.last_used_at is not None


def test_last_used_is_written_again_in_the_next_minute(viewer: User, at_time: AtTime) -> None:
    text = made(viewer).text
    authenticate_key(text, "192.0.2.7")
    later = at_time(timedelta(seconds=61))

    authenticate_key(text, "192.0.2.8")

    row = ApiKey.objects.get()
    assert row.last_used_ip == "192.0.2.8"
    assert row.last_used_at is not None
    assert abs(row.last_used_at - later) < timedelta(seconds=5)


def test_last_used_written_by_another_process_is_not_overwritten(viewer: User) -> None:
    issued = made(viewer)
    recent = timezone.now() - timedelta(seconds=10)
    ApiKey.objects.update(last_used_at=recent, last_used_ip="192.0.2.1")

    authenticate_key(issued.text, "192.0.2.7")

    row = ApiKey.objects.get()
    assert (row.last_used_at, row.last_used_ip) == (recent, "192.0.2.1")


def test_a_rejected_use_is_not_recorded(viewer: User) -> None:
    issued = made(viewer, networks=["192.0.2.0/24"])

    with pytest.raises(ApiKeyInvalid):
        authenticate_key(issued.text, "198.51.100.1")

    assert ApiKey.objects.get().last_used_at is None


# The limit


def _uses_until_refused(text: str) -> int:
    count = 0
    while True:
        try:
            authenticate_key(text, HERE)
        except RateLimited:
            return count
        count += 1


@pytest.mark.parametrize("maximum", [1, 7, 20, 45])
def test_a_key_is_limited_to_its_quota(viewer: User, settings: Any, maximum: int) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = maximum, timedelta(days=1)

    assert _uses_until_refused(made(viewer).text) == maximum


def test_processes_together_stay_within_the_limit(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 100, timedelta(days=1)
    text = made(viewer).text
    processes: list[dict[str, quota.KeyQuota]] = [{}, {}, {}]
    used = 0
    waits: list[int] = []

    for number in range(150):
        monkeypatch.setattr(quota, "_quotas", processes[number % 3])
        try:
            authenticate_key(text, HERE)
            used += 1
        except RateLimited as error:
            waits.append(error.retry_after_seconds)

    assert (used, len(waits)) == (100, 50)
    assert 0 < min(waits) <= max(waits) <= 86_400


def test_a_process_reserves_a_share_of_the_quota_at_a_time(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 100, timedelta(days=1)
    text, asked, real = made(viewer).text, [], counters.hit

    def hit(*args: Any, **more: Any) -> counters.Count:
        asked.append(1)
        return real(*args, **more)

    monkeypatch.setattr(counters, "hit", hit)

    for _number in range(50):
        authenticate_key(text, HERE)

    assert len(asked) == 10  # shares of five, each by one statement

    assert _uses_until_refused(text) == 50
    asked.clear()
    assert [_uses_until_refused(text) for _number in range(5)] == [0] * 5
    assert asked == []


def test_the_quota_is_renewed_with_the_next_window(
    viewer: User, settings: Any, at_time: AtTime
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 3, timedelta(days=1)
    text = made(viewer).text
    assert _uses_until_refused(text) == 3

    at_time(DAY)

    assert _uses_until_refused(text) == 3


def test_each_key_has_its_own_quota(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 2, timedelta(days=1)

    assert [_uses_until_refused(made(viewer).text) for _number in range(2)] == [2, 2]


def test_a_lower_role_narrows_a_key_and_signing_out_does_not_end_it(
    editor: User, owner: User
) -> None:
    text = made(editor, scopes=["read", "write"]).text

    change_role(actor=owner, user=editor, role="viewer")
    end_sessions(actor=owner, user=editor)

    assert context_for_key(authenticate_key(text, HERE)).scopes == {Scope.READ}
