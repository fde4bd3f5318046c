"""Keys as the services make, check, rotate and revoke them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.errors import Forbidden, NotFound, RateLimited, RecordInvalid
from accounts.models import AuditEvent, OutboxMail, User
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from accounts.services.users import change_role, delete_user, disable_user
from api import keyformat, keymeter
from api.access import Access, Scope
from api.errors import ApiKeyInvalid, Refused
from api.models import ApiKey
from api.services import apikeys
from api.services.apikeys import KeyWish, create_key, revoke_key, rotate_key, state_of
from api.services.keychecks import ApiKeyMistyped, access_by, check
from tests.api.keys import HERE, made
from tests.conftest import text_of

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
MakeUser = Callable[..., User]
DAY = timedelta(days=1)


def faults(wish: dict[str, Any], user: User, via: Access | None = None) -> list[str]:
    """The names of the fields that a wish is refused for."""
    with pytest.raises(RecordInvalid) as caught:
        create_key(actor=user, user=user, wish=KeyWish(**{"name": "x", **wish}), via=via)
    assert not ApiKey.objects.filter(name=wish.get("name", "x")).exists()
    return sorted(caught.value.errors)


# Making


def test_only_a_digest_of_a_key_is_kept(viewer: User) -> None:
    issued = made(viewer)
    parts = keyformat.parse(issued.text)
    assert parts is not None

    row = ApiKey.objects.values().get(pk=parts.id)

    assert parts.secret not in str(row)
    assert issued.text not in str(row)
    assert len(row["digest"]) == 64
    assert row["ending"] == issued.text[-4:]
    assert parts.secret not in repr(issued)


def test_a_key_reads_and_lives_90_days_unless_told(viewer: User) -> None:
    key = made(viewer).key

    assert key.scopes == ["read"]
    assert key.networks == []
    assert key.expires_at == key.created_at + 90 * DAY


def test_its_owner_is_told_by_mail(viewer: User, mails: Callable[[], list[OutboxMail]]) -> None:
    issued = made(viewer, "backup script")

    (mail,) = mails()
    assert (mail.kind, mail.recipient) == ("key-created", "viewer@example.com")
    text = text_of(mail)
    assert "backup script" in text
    assert str(issued.key) in text
    assert "http://localhost:8000/account/keys" in text
    assert issued.text[15:-4] not in text


def test_making_rotating_and_revoking_are_written_down_without_the_key(viewer: User) -> None:
    first = made(viewer)
    second = rotate_key(actor=viewer, key=first.key)
    revoke_key(actor=viewer, key=second.key)

    events = AuditEvent.objects.filter(action__startswith="api:key:").order_by("seq")

    assert [(event.action, event.detail["key"]) for event in events] == [
        ("api:key:create", first.key.pk),
        ("api:key:rotate", second.key.pk),
        ("api:key:revoke", second.key.pk),
    ]
    assert {(event.actor_id, event.target_id) for event in events} == {(viewer.pk, viewer.pk)}
    secrets = [issued.text[15:] for issued in (first, second)]
    assert not any(secret in str(event.detail) for secret in secrets for event in events)


@pytest.mark.parametrize(
    ("role", "possible"),
    [
        ("none", {"read"}),
        ("viewer", {"read"}),
        ("editor", {"read", "write"}),
        ("admin", {"read", "write", "users", "moderation", "service"}),
        ("owner", {"read", "write", "users", "moderation", "service"}),
    ],
)
def test_a_role_bounds_the_scopes(make_user: MakeUser, role: str, possible: set[str]) -> None:
    user = make_user(role)

    for scope in Scope:
        if scope in possible:
            assert made(user, scopes=[scope]).key.scopes == [scope]
        else:
            assert faults({"scopes": [scope]}, user) == ["scopes"]


def test_scopes_stand_once_and_in_order(admin: User) -> None:
    assert made(admin, scopes=["users", "read", "users"]).key.scopes == ["read", "users"]


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": " \t "}, ["name"]),
        ({"name": "n" * 81}, ["name"]),
        ({"name": "a\x00b"}, ["name"]),
        ({"name": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, ["name"]),
        ({"scopes": []}, ["scopes"]),
        ({"scopes": ["root"]}, ["scopes"]),
        ({"scopes": ["READ"]}, ["scopes"]),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, ["expires_at"]),
        ({"expires_at": datetime(2999, 1, 1, tzinfo=UTC)}, ["expires_at"]),
        ({"is_endless": True}, ["expires_at"]),
        ({"networks": ["10.0.0.0/33"]}, ["networks"]),
        ({"networks": ["example.com"]}, ["networks"]),
        ({"networks": ["fe80::1%eth0"]}, ["networks"]),
        ({"networks": [""]}, ["networks"]),
        ({"networks": ["1" * 5000]}, ["networks"]),
        ({"networks": [f"10.0.{number}.0/24" for number in range(21)]}, ["networks"]),
        ({"name": "", "scopes": [], "networks": ["x"]}, ["name", "networks", "scopes"]),
    ],
)
def test_a_wrong_wish_makes_nothing(viewer: User, wish: dict[str, Any], fields: list[str]) -> None:
    assert faults(wish, viewer) == fields
    assert ApiKey.objects.count() == OutboxMail.objects.count() == 0


def test_a_key_may_live_for_ever_only_where_no_age_is_set(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX_AGE = timedelta(0)

    assert made(viewer, is_endless=True).key.expires_at is None
    far = datetime(2999, 1, 1, tzinfo=UTC)
    assert made(viewer, expires_at=far).key.expires_at == far


def test_the_default_life_stays_within_the_longest(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX_AGE = DAY
    key = made(viewer).key

    assert key.expires_at == key.created_at + DAY


def test_networks_are_written_in_one_way(viewer: User) -> None:
    asked = [
        "10.1.2.3/8",
        "10.0.0.0/8",
        " 192.0.2.7 ",
        "2001:DB8:0::1/32",
        "::ffff:198.51.100.9/120",
    ]

    assert made(viewer, networks=asked).key.networks == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "2001:db8::/32",
        "198.51.100.0/24",
    ]


def test_a_person_has_at_most_100_live_keys(viewer: User) -> None:
    now = timezone.now()
    ApiKey.objects.bulk_create(
        ApiKey(pk=f"key{number:07}", user=viewer, name="k", expires_at=now + DAY)
        for number in range(99)
    )
    last = made(viewer)
    assert faults({}, viewer) == ["record"]

    revoke_key(actor=viewer, key=last.key)

    assert state_of(made(viewer).key, timezone.now()) == "live"


def test_a_key_made_while_access_ends_is_refused(viewer: User) -> None:
    stale = User.objects.get(pk=viewer.pk)
    end_sessions(actor=viewer, user=viewer)

    with pytest.raises(Forbidden):
        create_key(actor=stale, user=stale, wish=KeyWish("late"))
    assert not ApiKey.objects.exists()


def test_an_operator_makes_keys_for_people_of_lower_rank_alone(
    admin: User, owner: User, viewer: User
) -> None:
    create_key(actor=admin, user=viewer, wish=KeyWish("for Vera"))

    with pytest.raises(Forbidden):
        create_key(actor=admin, user=owner, wish=KeyWish("for Olga"))
    with pytest.raises(Forbidden):
        create_key(actor=viewer, user=admin, wish=KeyWish("for Ada"))
    assert [key.name for key in ApiKey.objects.all()] == ["for Vera"]


# Made by a key


def test_a_key_hands_on_no_more_than_it_has(admin: User) -> None:
    networks = ["10.0.0.0/8", "2001:db8::/32"]
    key = made(admin, scopes=["read", "users"], networks=networks, expires_at=_in(5)).key
    via = access_by(ApiKey.objects.select_related("user").get(pk=key.pk))

    assert faults({"scopes": ["write"]}, admin, via) == ["scopes"]
    assert faults({"expires_at": _in(6)}, admin, via) == ["expires_at"]
    assert faults({"is_endless": True}, admin, via) == ["expires_at"]
    assert faults({"networks": ["0.0.0.0/0"]}, admin, via) == ["networks"]
    assert faults({"networks": ["10.1.0.0/16", "192.0.2.0/24"]}, admin, via) == ["networks"]
    heir = create_key(actor=admin, user=admin, wish=KeyWish("heir"), via=via).key
    assert (heir.networks, heir.expires_at) == (networks, key.expires_at)
    narrow = KeyWish("narrow", networks=["10.9.0.0/16"], expires_at=_in(1))
    assert create_key(actor=admin, user=admin, wish=narrow, via=via).key.networks == ["10.9.0.0/16"]


def test_a_key_rotates_none_that_may_more(admin: User) -> None:
    weak = made(admin, scopes=["read", "users"], networks=["10.0.0.0/8"]).key
    via = access_by(ApiKey.objects.select_related("user").get(pk=weak.pk))
    wider = [
        made(admin, scopes=["read", "write"], networks=["10.0.0.0/8"]).key,
        made(admin, scopes=["read"]).key,
        made(admin, scopes=["read"], networks=["10.1.0.0/16", "192.0.2.0/24"]).key,
    ]

    for key in wider:
        with pytest.raises(Forbidden):
            rotate_key(actor=admin, key=key, via=via)
    assert rotate_key(actor=admin, key=weak, via=via).key.scopes == ["read", "users"]


# Checking


def _in(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def test_a_right_key_is_its_owner(editor: User) -> None:
    issued = made(editor, scopes=["read", "write"])

    key = check(issued.text, HERE)

    assert (key.pk, key.user, key.scopes) == (issued.key.pk, editor, ["read", "write"])
    assert key.user.created_at == editor.created_at
    assert key.expires_at == issued.key.expires_at
    assert access_by(key).scopes == {Scope.READ, Scope.WRITE}


def test_a_mistyped_key_costs_no_look_up(
    viewer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    text = made(viewer).text
    typed = text[:-1] + ("a" if text[-1] != "a" else "b")

    with django_assert_num_queries(0), pytest.raises(ApiKeyMistyped):
        check(typed, HERE)


def test_a_check_reads_one_row_whatever_came(
    viewer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    text = made(viewer).text
    check(text, HERE)

    with django_assert_num_queries(1):
        check(text, HERE)
    with django_assert_num_queries(1), pytest.raises(ApiKeyInvalid):
        check(keyformat.make().text, HERE)


def test_the_secret_of_another_key_opens_nothing(viewer: User, admin: User) -> None:
    mine, theirs = made(viewer), made(admin)
    mixed = f"gth_{theirs.key.pk}_{mine.text[15:58]}"

    with pytest.raises(ApiKeyInvalid):
        check(mixed + keyformat.checksum(mixed), HERE)


def test_a_digest_from_the_database_is_no_key(viewer: User) -> None:
    key = made(viewer).key
    body = f"gth_{key.pk}_{key.digest[:43]}"

    with pytest.raises(ApiKeyInvalid):
        check(body + keyformat.checksum(body), HERE)


def test_a_changed_secret_key_leaves_keys_alive(viewer: User, settings: Any) -> None:
    text = made(viewer).text
    settings.SECRET_KEY = "another secret key that is long enough for the check of Django" * 2

    assert check(text, HERE).user == viewer


def test_a_key_ends_at_its_end(viewer: User, at_time: AtTime) -> None:
    issued = made(viewer, expires_at=_in(1))
    at_time(DAY - timedelta(seconds=5))
    assert check(issued.text, HERE).user == viewer

    at_time(DAY + timedelta(seconds=5))

    with pytest.raises(ApiKeyInvalid, match="expired"):
        check(issued.text, HERE)
    assert state_of(issued.key, timezone.now()) == "expired"


def test_a_revoked_key_ends_at_once(viewer: User) -> None:
    issued = made(viewer)
    revoke_key(actor=viewer, key=issued.key)

    with pytest.raises(ApiKeyInvalid, match="revoked"):
        check(issued.text, HERE)
    with pytest.raises(NotFound):
        revoke_key(actor=viewer, key=issued.key)


def _disabled(user: User, owner: User) -> None:
    disable_user(actor=owner, user=user)


def _demoted(user: User, owner: User) -> None:
    change_role(actor=owner, user=user, role="viewer")


def _promoted(user: User, owner: User) -> None:
    change_role(actor=owner, user=user, role="admin")


def _deleted(user: User, owner: User) -> None:
    delete_user(actor=owner, user=user)


def _new_password(user: User, owner: User) -> None:
    set_password(actor=owner, user=user, new="violet umbrella marathon kettle")


def _signed_out(user: User, owner: User) -> None:
    end_sessions(actor=owner, user=user)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (_disabled, Refused),
        (_demoted, ApiKeyInvalid),
        (_promoted, ApiKeyInvalid),
        (_deleted, ApiKeyInvalid),
        (_new_password, ApiKeyInvalid),
        (_signed_out, ApiKeyInvalid),
    ],
)
def test_what_ends_access_ends_keys_at_the_next_use(
    editor: User, owner: User, act: Callable[[User, User], None], error: type[Exception]
) -> None:
    text = made(editor).text
    check(text, HERE)

    act(User.objects.get(pk=editor.pk), owner)

    with pytest.raises(error) as caught:
        check(text, HERE)
    assert caught.type is error
    key = ApiKey.objects.select_related("user").filter(user__email=editor.email).first()
    assert key is None or state_of(key, timezone.now()) == "ended"


def test_a_key_made_after_a_sign_out_works(viewer: User) -> None:
    end_sessions(actor=viewer, user=viewer)
    viewer.refresh_from_db()

    assert check(made(viewer).text, HERE).user == viewer


def test_scopes_written_into_the_table_reach_no_further_than_the_role(viewer: User) -> None:
    issued = made(viewer)
    ApiKey.objects.update(scopes=["read", "write", "users"])

    assert access_by(check(issued.text, HERE)).scopes == {Scope.READ}


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
def test_networks_are_kept_to(viewer: User, networks: list[str], ip: str, is_let_in: bool) -> None:
    text = made(viewer, networks=networks).text

    if is_let_in:
        assert check(text, ip).user == viewer
    else:
        with pytest.raises(ApiKeyInvalid):
            check(text, ip)


# The note of the last use


def test_a_hundred_uses_write_once(viewer: User) -> None:
    text = made(viewer).text

    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _number in range(100):
            check(text, "192.0.2.7")

    writes = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    notes = [sql for sql in writes if "api_apikey" in sql]
    assert len(notes) == 1
    row = ApiKey.objects.get()
    assert row.last_used_ip == "192.0.2.7"
    assert row.last_used_at is not None


def test_the_next_minute_writes_again(viewer: User, at_time: AtTime) -> None:
    text = made(viewer).text
    check(text, "192.0.2.7")
    later = at_time(timedelta(seconds=61))

    check(text, "192.0.2.8")

    row = ApiKey.objects.get()
    assert row.last_used_ip == "192.0.2.8"
    assert row.last_used_at is not None
    assert abs(row.last_used_at - later) < timedelta(seconds=5)


def test_another_process_that_has_just_written_is_not_overwritten(viewer: User) -> None:
    issued = made(viewer)
    recent = timezone.now() - timedelta(seconds=10)
    ApiKey.objects.update(last_used_at=recent, last_used_ip="192.0.2.1")

    check(issued.text, "192.0.2.7")

    row = ApiKey.objects.get()
    assert (row.last_used_at, row.last_used_ip) == (recent, "192.0.2.1")


def test_a_refused_use_is_not_noted(viewer: User) -> None:
    issued = made(viewer, networks=["192.0.2.0/24"])

    with pytest.raises(ApiKeyInvalid):
        check(issued.text, "198.51.100.1")

    assert ApiKey.objects.get().last_used_at is None


# The limit


def _uses_until_refused(text: str) -> int:
    count = 0
    while True:
        try:
            check(text, HERE)
        except RateLimited:
            return count
        count += 1


@pytest.mark.parametrize("maximum", [1, 7, 20, 45])
def test_a_key_is_used_as_often_as_the_limit_says(
    viewer: User, settings: Any, maximum: int
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = maximum, timedelta(days=1)

    assert _uses_until_refused(made(viewer).text) == maximum


def test_processes_together_stay_within_the_limit(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 100, timedelta(days=1)
    text = made(viewer).text
    processes: list[dict[str, keymeter.Meter]] = [{}, {}, {}]
    used = 0
    waits: list[int] = []

    for number in range(150):
        monkeypatch.setattr(keymeter, "_meters", processes[number % 3])
        try:
            check(text, HERE)
            used += 1
        except RateLimited as error:
            waits.append(error.retry_after_seconds)

    assert (used, len(waits)) == (100, 50)
    assert 0 < min(waits) <= max(waits) <= 86_400


def test_a_share_of_the_limit_is_taken_at_a_time(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 100, timedelta(days=1)
    text, asked = made(viewer).text, []
    for name in ("add", "incr"):
        real = getattr(cache, name)
        monkeypatch.setattr(
            cache,
            name,
            lambda *args, _real=real, **more: (asked.append(1), _real(*args, **more))[1],
        )

    for _number in range(50):
        check(text, HERE)

    assert len(asked) == 1 + 9 * 2  # ten shares of five, each but the first by two calls

    assert _uses_until_refused(text) == 50
    asked.clear()
    assert [_uses_until_refused(text) for _number in range(5)] == [0] * 5
    assert asked == []


def test_the_limit_begins_anew_with_the_next_window(
    viewer: User, settings: Any, at_time: AtTime
) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 3, timedelta(days=1)
    text = made(viewer).text
    assert _uses_until_refused(text) == 3

    at_time(DAY)

    assert _uses_until_refused(text) == 3


def test_keys_are_counted_apart(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 2, timedelta(days=1)

    assert [_uses_until_refused(made(viewer).text) for _number in range(2)] == [2, 2]


# Rotating


def test_both_keys_work_until_the_old_one_ends(viewer: User, at_time: AtTime) -> None:
    old = made(viewer, "nightly", networks=["192.0.2.0/24"], expires_at=_in(30))
    new = rotate_key(actor=viewer, key=old.key)

    assert check(old.text, "192.0.2.1").pk == old.key.pk
    assert check(new.text, "192.0.2.1").pk == new.key.pk
    assert (new.key.name, new.key.networks, new.key.scopes) == (
        "nightly",
        ["192.0.2.0/24"],
        ["read"],
    )
    assert new.key.expires_at is not None
    assert abs(new.key.expires_at - _in(30)) < timedelta(minutes=1)
    at_time(DAY + timedelta(seconds=5))
    assert check(new.text, "192.0.2.1").pk == new.key.pk
    with pytest.raises(ApiKeyInvalid):
        check(old.text, "192.0.2.1")


def test_without_overlap_the_old_key_ends_at_once(viewer: User) -> None:
    old = made(viewer)
    rotate_key(actor=viewer, key=old.key, overlap=timedelta(0))

    with pytest.raises(ApiKeyInvalid):
        check(old.text, HERE)


def test_an_overlap_prolongs_nothing(viewer: User) -> None:
    old = made(viewer, expires_at=_in(0.5)).key

    rotate_key(actor=viewer, key=old, overlap=7 * DAY)

    assert ApiKey.objects.get(pk=old.pk).expires_at == old.expires_at


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), 7 * DAY + timedelta(seconds=1)])
def test_an_overlap_has_bounds(viewer: User, overlap: timedelta) -> None:
    with pytest.raises(RecordInvalid):
        rotate_key(actor=viewer, key=made(viewer).key, overlap=overlap)
    assert ApiKey.objects.count() == 1


def test_a_key_is_rotated_once(viewer: User) -> None:
    old = made(viewer).key
    rotate_key(actor=viewer, key=old)

    with pytest.raises(RecordInvalid):
        rotate_key(actor=viewer, key=old)
    assert ApiKey.objects.count() == 2


def test_what_has_ended_or_is_of_others_is_not_rotated(viewer: User, admin: User) -> None:
    key = made(viewer).key
    with pytest.raises(NotFound):
        rotate_key(actor=admin, key=key)
    revoke_key(actor=viewer, key=key)
    key.refresh_from_db()

    with pytest.raises(NotFound):
        rotate_key(actor=viewer, key=key)
    assert ApiKey.objects.count() == 1


# Revoking and listing


def test_operators_revoke_keys_of_lower_ranks(
    admin: User, owner: User, editor: User, viewer: User
) -> None:
    revoke_key(actor=admin, key=made(viewer).key)

    with pytest.raises(Forbidden):
        revoke_key(actor=admin, key=made(owner).key)
    with pytest.raises(Forbidden):
        revoke_key(actor=editor, key=made(viewer).key)
    assert ApiKey.objects.exclude(revoked_at=None).count() == 1


def test_own_keys_are_listed_live_ones_first(viewer: User, admin: User, at_time: AtTime) -> None:
    names = []
    for number, name in enumerate(["first", "second", "third"]):
        at_time(timedelta(seconds=number))
        names.append(made(viewer, name).key)
    made(admin, "of somebody else")
    revoke_key(actor=viewer, key=names[2])

    assert [key.name for key in apikeys.own_keys(viewer)] == ["second", "first", "third"]
    with pytest.raises(NotFound):
        apikeys.own_key(admin, names[0].pk)


def test_long_ended_keys_are_cleared_away(viewer: User, at_time: AtTime) -> None:
    at_time(-100 * DAY)
    for name in ("revoked", "expired", "live"):
        key = made(viewer, name, expires_at=_in(1 if name == "expired" else 300)).key
        if name == "revoked":
            revoke_key(actor=viewer, key=key)
    now = at_time(timedelta(0))

    assert apikeys.purge_keys(now - 90 * DAY) == 2
    assert [key.name for key in ApiKey.objects.all()] == ["live"]
