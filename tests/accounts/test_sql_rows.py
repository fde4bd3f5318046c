"""Rows read and written by SQL equal those of the ORM."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, Group, Membership, User
from audit.models import AuditEvent
from core import sql

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("column", ["id", "email", "username"])
def test_a_row_read_by_sql_equals_the_orm_row(viewer: User, column: str) -> None:
    viewer.last_login = timezone.now()
    viewer.save()

    found = sql.find(User, column, getattr(viewer, column))

    assert found is not None
    expected = User.objects.get(pk=viewer.pk)
    for field in User._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(expected, field.attname)
    assert (found._state.adding, found._state.db) == (False, "default")


def test_a_missing_row_is_none(viewer: User) -> None:
    assert sql.find(User, "email", "nobody@example.com") is None


def test_a_foreign_key_read_by_sql_equals_that_of_the_orm(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    """Also where the database stores keys as text, as SQLite does."""
    browser_of(viewer)
    expected = BrowserSession.objects.get()

    found = sql.find(BrowserSession, "public_id", expected.public_id)

    assert found is not None
    for field in BrowserSession._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(expected, field.attname)


def test_a_row_is_found_by_several_columns(viewer: User, editor: User) -> None:
    group, other = (Group.objects.create(name=name) for name in ("staff", "lab"))
    row = Membership.objects.create(user=viewer, group=group)
    Membership.objects.create(user=editor, group=other)

    assert sql.find_by(Membership, user=viewer.pk, group=group.pk) == row
    assert sql.find_by(Membership, group=group.pk, user=viewer.pk) == row
    assert sql.find_by(Membership, user=viewer.pk, group=other.pk) is None


def test_rows_inserted_by_sql_equal_orm_rows() -> None:
    event = AuditEvent(seq=7, at=timezone.now(), action="a:b:c", channel="web", detail={"n": [1]})

    sql.insert([event])

    stored = AuditEvent.objects.get(seq=7)
    assert (stored.at, stored.detail, stored.actor_id) == (event.at, {"n": [1]}, None)


def test_a_duplicate_key_is_rejected(viewer: User) -> None:
    twin = User(email=viewer.email)

    with pytest.raises(IntegrityError), transaction.atomic():
        sql.insert([twin])

    assert User.objects.count() == 1


def test_an_update_writes_one_field_of_one_row(viewer: User, editor: User) -> None:
    viewer.last_login, viewer.name = timezone.now(), "not written"

    sql.update(viewer, "last_login")

    stored = User.objects.get(pk=viewer.pk)
    assert (stored.last_login, stored.name) == (viewer.last_login, "Vera Viewer")
    editor.refresh_from_db()
    assert editor.last_login is None


def test_a_sign_in_records_its_time(viewer: User, browser_of: Callable[[User], Client]) -> None:
    before = timezone.now()

    browser_of(viewer)

    viewer.refresh_from_db()
    assert viewer.last_login is not None
    assert before < viewer.last_login < timezone.now()
    assert BrowserSession.objects.get().user_id == viewer.pk


def test_an_update_reports_whether_the_row_existed(viewer: User) -> None:
    gone = User.objects.get(pk=viewer.pk)
    viewer.name = "Vera V."

    assert sql.update(viewer, "name")
    viewer.delete()
    assert not sql.update(gone, "name")
