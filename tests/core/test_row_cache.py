"""Rows are reused only where it was allowed, and only while the database has not changed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Invitation, User
from api.models import ApiKey
from core import row_cache, sql
from core.row_cache import reuse_rows
from moderation.models import Ban
from tests.api.keys import made

pytestmark = pytest.mark.django_db


def test_a_row_is_read_once_inside_the_block_and_each_time_outside(
    viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        outside = [sql.find(User, "id", viewer.pk) for _again in range(2)]
    with django_assert_num_queries(1), reuse_rows():
        inside = [sql.find(User, "id", viewer.pk) for _again in range(3)]

    assert [*outside, *inside] == [viewer] * 5
    assert inside[0] is not inside[1]


def test_rows_are_not_reused_unless_allowed(
    viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2), reuse_rows(is_allowed=False):
        [sql.find(User, "id", viewer.pk) for _again in range(2)]


def test_a_missing_row_is_reused_until_it_is_there(
    viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pk = viewer.pk
    viewer.delete()
    with django_assert_num_queries(1), reuse_rows():
        missing = [sql.find(User, "id", pk) for _again in range(2)]
    User(id=pk, email="again@example.com").save()
    with reuse_rows():
        found = sql.find(User, "id", pk)

    assert missing == [None, None]
    assert found is not None
    assert found.email == "again@example.com"


def test_a_change_of_any_kind_ends_the_reuse(viewer: User) -> None:
    names = []
    for name in ("first", "second"):
        User.objects.filter(pk=viewer.pk).update(name=name)
        with reuse_rows():
            found = sql.find(User, "id", viewer.pk)
            names.append(found.name if found else None)

    assert names == ["first", "second"]


def test_rows_of_tables_that_are_not_watched_are_read_each_time(
    db: None, settings: LazySettings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert Invitation._meta.label not in settings.WATCHED_MODELS
    with django_assert_num_queries(2), reuse_rows():
        [sql.find(Invitation, "id", 1) for _again in range(2)]


def test_a_full_cache_is_emptied(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "MAX_ROWS", 3)
    with reuse_rows():
        for number in range(10):
            sql.find(User, "email", f"absent{number}@example.com")
            rows = row_cache.rows_here()
            assert rows is not None
            assert len(rows) <= 3


def test_nothing_is_reused_where_changes_cannot_be_seen(
    viewer: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(row_cache, "current_data_version", lambda: None)
    with django_assert_num_queries(2), reuse_rows():
        [sql.find(User, "id", viewer.pk) for _again in range(2)]


def test_a_read_by_key_needs_no_query_after_the_first(
    client: Client, viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = {"X-API-Key": made(viewer).text}
    for _again in range(2):  # the second one begins with the note of the first use
        client.get("/api/v1/me", headers=headers)
    with django_assert_num_queries(0):
        found = client.get("/api/v1/me", headers=headers)

    assert (found.status_code, found.json()["email"]) == (200, viewer.email)


# What happens without any change of the database: only the clock moves on.
ENDS: dict[str, tuple[Callable[[User], object], int, str]] = {
    "key": (
        lambda user: ApiKey.objects.filter(user=user).update(
            expires_at=timezone.now() + timedelta(seconds=30)
        ),
        403,
        "api_key_invalid",
    ),
    "account": (
        lambda user: User.objects.filter(pk=user.pk).update(
            expires_at=timezone.now() + timedelta(seconds=30)
        ),
        403,
        "account_expired",
    ),
    "role": (
        lambda user: User.objects.filter(pk=user.pk).update(
            role="editor",
            role_after="viewer",
            role_until=timezone.now() + timedelta(seconds=30),
        ),
        200,
        "viewer",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_counts_although_nothing_changes(
    client: Client, viewer: User, name: str, at_time: Callable[[timedelta], object]
) -> None:
    prepare, status, expected = ENDS[name]
    headers = {"X-API-Key": made(viewer).text}
    prepare(viewer)
    before = [client.get("/api/v1/me", headers=headers).status_code for _again in range(3)]
    at_time(timedelta(seconds=31))
    after = client.get("/api/v1/me", headers=headers)

    assert before == [200] * 3
    assert after.status_code == status
    assert after.json().get("code", after.json().get("role")) == expected


def test_a_ban_ends_by_itself_although_nothing_changes(
    client: Client, viewer: User, at_time: Callable[[timedelta], object]
) -> None:
    headers = {"X-API-Key": made(viewer).text}
    until = timezone.now() + timedelta(seconds=30)
    Ban.objects.create(user=viewer, kind="manual", until=until, created_at=timezone.now())
    before = [client.get("/api/v1/me", headers=headers).status_code for _again in range(3)]
    at_time(timedelta(seconds=31))

    assert before == [403] * 3
    assert client.get("/api/v1/me", headers=headers).status_code == 200


def test_a_change_is_authenticated_from_the_database(
    client: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may hear of a change up to a second late; what writes does not wait for it."""
    User.objects.filter(pk=viewer.pk).update(role="editor")
    key = made(User.objects.get(pk=viewer.pk))
    ApiKey.objects.filter(user=viewer).update(scopes=["read", "write"])
    monkeypatch.setattr(row_cache, "current_data_version", lambda: "never changes")
    headers = {"X-API-Key": key.text}
    assert client.get("/api/v1/me", headers=headers).status_code == 200
    User.objects.filter(pk=viewer.pk).update(is_active=False)

    read = client.get("/api/v1/me", headers=headers)
    written = client.patch(
        "/api/v1/me", {"name": "New"}, content_type="application/json", headers=headers
    )

    assert read.status_code == 200  # what the frozen version of this test still says
    assert (written.status_code, written.json()["code"]) == (403, "account_disabled")
