"""core.sql reads and writes columns as Django does, though in fewer steps."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models
from django.utils import timezone as django_timezone

from accounts.models import BrowserSession, User
from core import sql
from core.sql_values import prepared
from oidc_provider.models import AuthorizationCode, Grant
from tests.oidc_provider.relying_party import make_client

MOMENT = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
# What a field of each kind may be given, odd things included.
VALUES: dict[type[Any], list[Any]] = {
    models.CharField: ["", "Zoë %s ? '\"", 7, None],
    models.EmailField: ["zoe@example.com", None],
    models.TextField: ["two\nlines", None],
    models.BooleanField: [True, False, 1, 0, None],
    models.IntegerField: [0, -5, True, None],
    models.PositiveIntegerField: [3, "3", None],
    models.PositiveSmallIntegerField: [3, None],
    models.BigIntegerField: [2**62, None],
    models.DateTimeField: [
        MOMENT,
        MOMENT.replace(microsecond=0),
        MOMENT.astimezone(timezone(timedelta(hours=5))),
        None,
    ],
    models.UUIDField: [uuid.UUID(int=5), uuid.UUID(int=5).hex, None],
    models.ForeignKey: [uuid.UUID(int=5), "key", None],
    models.JSONField: [[], {"a": ["ö", None]}, "text", None],
}


def test_values_are_prepared_as_the_fields_do(db: None) -> None:
    fields = [
        field
        for model in apps.get_models()
        for field in sql.columns_of(model)
        if type(field) in VALUES
    ]
    assert {type(field) for field in fields} >= {*VALUES} - {models.IntegerField}
    for field in fields:
        for value in VALUES[type(field)]:
            assert _or_error(prepared, field, value) == _or_error(_usual, field, value), field


@pytest.mark.parametrize("microsecond", [0, 120_000, 987_654])
def test_rows_are_read_as_the_orm_reads_them(viewer: User, microsecond: int) -> None:
    app = make_client(openid_networks=["10.0.0.0/8"], openid_second_factor=True)
    now = MOMENT.replace(microsecond=microsecond)
    session = BrowserSession.objects.create(
        session_key="a digest", expire_date=now, user=viewer, created_at=now
    )
    grant = Grant.objects.create(
        app=app, user=viewer, sid=session.public_id, scope="openid", claims={"acrs": ["a"]},
        seed="s", auth_time=now, refreshed_at=now, expires_at=now, methods=["pwd"],
    )  # fmt: skip
    for row in (viewer, app, session, grant):
        model = type(row)
        found = sql.find(model, model._meta.pk.name, row.pk)
        expected = model._default_manager.get(pk=row.pk)
        assert found is not None
        assert _content(found) == _content(expected), model
        assert (found._state.adding, found._state.db) == (False, "default")
        assert found.get_deferred_fields() == {
            field.attname for field in model._meta.concrete_fields if field.generated
        }


def test_a_user_whose_role_has_ended_has_the_next_one(viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(
        role="editor", role_after="viewer", role_until=django_timezone.now()
    )
    found = sql.find(User, "id", viewer.pk)
    assert found is not None
    assert (found.role, found.ended_role) == ("viewer", "editor")


def test_what_is_inserted_is_what_the_orm_inserts(viewer: User) -> None:
    def code(digest: str) -> AuthorizationCode:
        return AuthorizationCode(
            app=app, user=viewer, digest=digest, redirect_uri="https://a", scope="openid",
            session_id=uuid.UUID(int=1), grant_id=uuid.UUID(int=2), auth_time=MOMENT,
            expires_at=MOMENT, created_at=MOMENT,
        )  # fmt: skip

    app = make_client()
    ours, usual = code("ours"), code("usual")
    sql.insert([ours])
    usual.save()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {AuthorizationCode._meta.db_table} ORDER BY digest")
        first, second = ([*row] for row in cursor.fetchall())
    differing = [place for place, value in enumerate(first) if value != second[place]]
    names = [field.name for field in AuthorizationCode._meta.concrete_fields]
    assert {names[place] for place in differing} == {"id", "digest"}
    with pytest.raises(IntegrityError):
        sql.insert([code("ours")])


def _content(row: models.Model) -> dict[str, Any]:
    """Lists of JSON are read as tuples, because rows are shared."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.__dict__.items()
        if name in {field.attname for field in sql.columns_of(type(row))}
    }


def _usual(field: Any, value: Any, of: Any) -> Any:
    return field.get_db_prep_save(value, of)


def _or_error(prepare: Any, field: Any, value: Any) -> Any:
    """A value as a text with its kind, because drivers wrap some of them."""
    try:
        found = prepare(field, value, connection)
    except (TypeError, ValueError, ValidationError) as error:
        return type(error)
    return type(found), str(found)
