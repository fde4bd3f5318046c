"""Services that create, check, rotate and revoke API keys."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services.sessions import end_sessions
from api.apikeys import key_format, services
from api.apikeys.authenticate import authenticate_key, context_for_key
from api.apikeys.services import KeyRequest, create_key, own_keys, revoke_key, rotate_key, state_of
from api.errors import ApiKeyInvalid
from api.models import ApiKey
from api.permissions import AuthContext, Scope
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound, RecordInvalid
from mail.models import OutboxMail
from tests.api.keys import HERE, in_days, made
from tests.conftest import text_of

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
MakeUser = Callable[..., User]
DAY = timedelta(days=1)


def faults(values: dict[str, Any], user: User, via: AuthContext | None = None) -> list[str]:
    """The names of the fields that a values is refused for."""
    with pytest.raises(RecordInvalid) as caught:
        create_key(
            actor=user, user=user, key_request=KeyRequest(**{"name": "x", **values}), via=via
        )
    return sorted(caught.value.errors)


# Making


def test_only_a_digest_of_a_key_is_stored(viewer: User) -> None:
    issued = made(viewer)
    parts = key_format.parse(issued.text)
    assert parts is not None

    row = ApiKey.objects.values().get(pk=parts.id)

    assert parts.secret not in str(row)
    assert issued.text not in str(row)
    assert len(row["digest"]) == 64
    assert row["ending"] == issued.text[-4:]
    assert parts.secret not in repr(issued)


def test_a_key_has_the_scope_read_and_90_days_by_default(viewer: User) -> None:
    key = made(viewer).key

    assert key.scopes == ["read"]
    assert key.networks == []
    assert key.expires_at == key.created_at + 90 * DAY


def test_its_owner_gets_a_mail(viewer: User, mails: Callable[[], list[OutboxMail]]) -> None:
    issued = made(viewer, "backup script")

    (mail,) = mails()
    assert (mail.kind, mail.recipient) == ("key-created", "viewer@example.com")
    text = text_of(mail)
    assert "backup script" in text
    assert str(issued.key) in text
    assert "http://localhost:8000/account/keys" in text
    assert issued.text[15:-4] not in text


def test_creating_rotating_and_revoking_are_audited_without_the_secret(viewer: User) -> None:
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
        ("admin", {"read", "write", "users", "moderation", "service", "scim"}),
        ("owner", {"read", "write", "users", "moderation", "service", "scim"}),
    ],
)
def test_the_role_limits_the_scopes(make_user: MakeUser, role: str, possible: set[str]) -> None:
    user = make_user(role)

    for scope in Scope:
        if scope in possible:
            assert made(user, scopes=[scope]).key.scopes == [scope]
        else:
            assert faults({"scopes": [scope]}, user) == ["scopes"]


def test_scopes_are_stored_once_and_in_order(admin: User) -> None:
    assert made(admin, scopes=["users", "read", "users"]).key.scopes == ["read", "users"]


@pytest.mark.parametrize(
    ("values", "fields"),
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
def test_an_invalid_request_creates_nothing(
    viewer: User, values: dict[str, Any], fields: list[str]
) -> None:
    assert faults(values, viewer) == fields
    assert ApiKey.objects.count() == OutboxMail.objects.count() == 0


def test_a_key_without_expiry_needs_a_setting_without_maximum_age(
    viewer: User, settings: Any
) -> None:
    settings.API_KEY_MAX_AGE = timedelta(0)

    assert made(viewer, is_endless=True).key.expires_at is None
    far = datetime(2999, 1, 1, tzinfo=UTC)
    assert made(viewer, expires_at=far).key.expires_at == far


def test_the_default_lifetime_is_at_most_the_maximum(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX_AGE = DAY
    key = made(viewer).key

    assert key.expires_at == key.created_at + DAY


def test_networks_are_normalized(viewer: User) -> None:
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


def test_a_user_has_at_most_100_live_keys(viewer: User) -> None:
    now = timezone.now()
    ApiKey.objects.bulk_create(
        ApiKey(pk=f"key{number:07}", user=viewer, name="k", expires_at=now + DAY)
        for number in range(99)
    )
    last = made(viewer)
    assert faults({}, viewer) == ["record"]

    revoke_key(actor=viewer, key=last.key)

    assert state_of(made(viewer).key, timezone.now()) == "live"


def test_a_key_created_while_access_ends_is_rejected(viewer: User) -> None:
    stale = User.objects.get(pk=viewer.pk)
    end_sessions(actor=viewer, user=viewer)

    with pytest.raises(Forbidden):
        create_key(actor=stale, user=stale, key_request=KeyRequest("late"))
    assert not ApiKey.objects.exists()


def test_an_administrator_creates_keys_only_for_lower_ranks(
    admin: User, owner: User, viewer: User
) -> None:
    create_key(actor=admin, user=viewer, key_request=KeyRequest("for Vera"))

    with pytest.raises(Forbidden):
        create_key(actor=admin, user=owner, key_request=KeyRequest("for Olga"))
    with pytest.raises(Forbidden):
        create_key(actor=viewer, user=admin, key_request=KeyRequest("for Ada"))
    assert [key.name for key in ApiKey.objects.all()] == ["for Vera"]


# Made by a key


def test_a_key_creates_no_key_with_more_scopes(admin: User) -> None:
    networks = ["10.0.0.0/8", "2001:db8::/32"]
    key = made(admin, scopes=["read", "users"], networks=networks, expires_at=in_days(5)).key
    via = context_for_key(ApiKey.objects.select_related("user").get(pk=key.pk))

    assert faults({"scopes": ["write"]}, admin, via) == ["scopes"]
    assert faults({"expires_at": in_days(6)}, admin, via) == ["expires_at"]
    assert faults({"is_endless": True}, admin, via) == ["expires_at"]
    assert faults({"networks": ["0.0.0.0/0"]}, admin, via) == ["networks"]
    assert faults({"networks": ["10.1.0.0/16", "192.0.2.0/24"]}, admin, via) == ["networks"]
    heir = create_key(actor=admin, user=admin, key_request=KeyRequest("heir"), via=via).key
    assert (heir.networks, heir.expires_at) == (networks, key.expires_at)
    narrow = KeyRequest("narrow", networks=["10.9.0.0/16"], expires_at=in_days(1))
    assert create_key(actor=admin, user=admin, key_request=narrow, via=via).key.networks == [
        "10.9.0.0/16"
    ]


def test_a_key_cannot_rotate_a_key_with_more_scopes(admin: User) -> None:
    weak = made(admin, scopes=["read", "users"], networks=["10.0.0.0/8"]).key
    via = context_for_key(ApiKey.objects.select_related("user").get(pk=weak.pk))
    wider = [
        made(admin, scopes=["read", "write"], networks=["10.0.0.0/8"]).key,
        made(admin, scopes=["read"]).key,
        made(admin, scopes=["read"], networks=["10.1.0.0/16", "192.0.2.0/24"]).key,
    ]

    for key in wider:
        with pytest.raises(Forbidden):
            rotate_key(actor=admin, key=key, via=via)
    assert rotate_key(actor=admin, key=weak, via=via).key.scopes == ["read", "users"]


# Rotating


def test_both_keys_work_during_the_overlap(viewer: User, at_time: AtTime) -> None:
    old = made(viewer, "nightly", networks=["192.0.2.0/24"], expires_at=in_days(30))
    new = rotate_key(actor=viewer, key=old.key)

    assert authenticate_key(old.text, "192.0.2.1").pk == old.key.pk
    assert authenticate_key(new.text, "192.0.2.1").pk == new.key.pk
    assert (new.key.name, new.key.networks, new.key.scopes) == (
        "nightly",
        ["192.0.2.0/24"],
        ["read"],
    )
    assert new.key.expires_at is not None
    assert abs(new.key.expires_at - in_days(30)) < timedelta(minutes=1)
    at_time(DAY + timedelta(seconds=5))
    assert authenticate_key(new.text, "192.0.2.1").pk == new.key.pk
    with pytest.raises(ApiKeyInvalid):
        authenticate_key(old.text, "192.0.2.1")


def test_without_overlap_the_old_key_ends_at_once(viewer: User) -> None:
    old = made(viewer)
    rotate_key(actor=viewer, key=old.key, overlap=timedelta(0))

    with pytest.raises(ApiKeyInvalid):
        authenticate_key(old.text, HERE)


def test_an_overlap_does_not_extend_the_old_key(viewer: User) -> None:
    old = made(viewer, expires_at=in_days(0.5)).key

    rotate_key(actor=viewer, key=old, overlap=7 * DAY)

    assert ApiKey.objects.get(pk=old.pk).expires_at == old.expires_at


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), 7 * DAY + timedelta(seconds=1)])
def test_the_overlap_is_limited(viewer: User, overlap: timedelta) -> None:
    with pytest.raises(RecordInvalid):
        rotate_key(actor=viewer, key=made(viewer).key, overlap=overlap)
    assert ApiKey.objects.count() == 1


def test_a_key_is_rotated_once(viewer: User) -> None:
    old = made(viewer).key
    rotate_key(actor=viewer, key=old)

    with pytest.raises(RecordInvalid):
        rotate_key(actor=viewer, key=old)
    assert ApiKey.objects.count() == 2


def test_ended_keys_and_keys_of_others_cannot_be_rotated(viewer: User, admin: User) -> None:
    key = made(viewer).key
    with pytest.raises(NotFound):
        rotate_key(actor=admin, key=key)
    revoke_key(actor=viewer, key=key)
    key.refresh_from_db()

    with pytest.raises(NotFound):
        rotate_key(actor=viewer, key=key)
    assert ApiKey.objects.count() == 1


# Revoking and listing


def test_administrators_revoke_keys_of_lower_ranks(
    admin: User, owner: User, editor: User, viewer: User
) -> None:
    revoke_key(actor=admin, key=made(viewer).key)

    with pytest.raises(Forbidden):
        revoke_key(actor=admin, key=made(owner).key)
    with pytest.raises(Forbidden):
        revoke_key(actor=editor, key=made(viewer).key)
    assert ApiKey.objects.exclude(revoked_at=None).count() == 1


def test_own_keys_are_listed_with_live_ones_first(
    viewer: User, admin: User, at_time: AtTime
) -> None:
    names = []
    for number, name in enumerate(["first", "second", "third"]):
        at_time(timedelta(seconds=number))
        names.append(made(viewer, name).key)
    made(admin, "of somebody else")
    revoke_key(actor=viewer, key=names[2])

    assert [key.name for key in services.own_keys(viewer)] == ["second", "first", "third"]
    with pytest.raises(NotFound):
        services.own_key(admin, names[0].pk)


def test_keys_that_ended_long_ago_are_purged(viewer: User, at_time: AtTime) -> None:
    at_time(-100 * DAY)
    for name in ("revoked", "expired", "live"):
        key = made(viewer, name, expires_at=in_days(1 if name == "expired" else 300)).key
        if name == "revoked":
            revoke_key(actor=viewer, key=key)
    now = at_time(timedelta(0))

    assert services.purge_keys(now - 90 * DAY) == 2
    assert [key.name for key in ApiKey.objects.all()] == ["live"]


def test_a_key_created_exactly_at_keys_valid_from_is_live(viewer: User) -> None:
    key = made(viewer).key
    viewer.keys_valid_from = key.created_at
    viewer.save(update_fields=["keys_valid_from"])
    key.user = viewer

    assert state_of(key, timezone.now()) == "live"
    assert [each.pk for each in own_keys(viewer)] == [key.pk]

    viewer.keys_valid_from += timedelta(microseconds=1)

    assert state_of(key, timezone.now()) == "ended"
