"""The tables of a new database are those that the migrations make, with the same first rows."""

from pathlib import Path

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from devtools.servers.databases import InstanceData, PostgresServer
from operations.upgrade.new_database import OF_FIRST_ROWS, OF_OLD_ROWS, create_tables, is_known

TABLES = """
from unittest.mock import patch
from django.db import connections
from operations.upgrade import prepare

def parts(statement):
    "The columns and constraints of CREATE TABLE in any order."
    found, depth, start = [], 0, statement.index("(") + 1
    for place, letter in enumerate(statement[start:-1], start):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            found.append(statement[start:place].strip())
            start = place + 1
    return sorted([*found, statement[start:-1].strip()])

def rows(alias, statement):
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return [list(map(str, row)) for row in cursor]

def sqlite(alias):
    return [
        [kind, name, parts(text) if kind == "table" else text]
        for kind, name, text in rows(alias, "SELECT type, name, sql FROM sqlite_master")
        if not name.startswith("sqlite_")
    ]

def postgresql(alias):
    return [each for statement in POSTGRESQL for each in rows(alias, statement)]

POSTGRESQL = (
    "SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, "
    "is_nullable, column_default, is_identity, identity_generation, collation_name "
    "FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT sequence_name, data_type FROM information_schema.sequences",
)
%s
result = {
    alias: [
        sorted(globals()[connections[alias].vendor](alias), key=str),
        sorted(rows(alias, "SELECT app, name FROM django_migrations")),
    ]
    for alias in connections
}
result["rows"] = [
    sorted(rows("default", f"SELECT {columns} FROM {table}"))
    for table, columns in (
        ("core_namedlock WHERE name <> 'encryption-key'", "name, seq, hash"),
        ("django_content_type", "app_label, model"),
        ("auth_permission", "name, codename"),
    )
]
"""
AT_ONCE = "prepare.prepare()"
STEP_BY_STEP = """
with patch.object(prepare, "create_tables", return_value=False):
    prepare.prepare()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def two_databases(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[InstanceData, InstanceData]:
    """Two folders, each with a database without a table."""
    return _empty(request, tmp_path / "one"), _empty(request, tmp_path / "two")


def _empty(request: pytest.FixtureRequest, folder: Path) -> InstanceData:
    url = f"sqlite:///{folder / 'gatehouse.sqlite3'}"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.url(server.create_database())
    return InstanceData(request.param, url, folder)


def test_tables_made_at_once_are_those_of_the_migrations(
    two_databases: tuple[InstanceData, InstanceData],
) -> None:
    at_once, step_by_step = two_databases

    made = at_once.shell(TABLES % AT_ONCE)
    expected = step_by_step.shell(TABLES % STEP_BY_STEP)

    assert len(expected["default"][0]) > 100
    assert expected["rows"][0] == [["audit", "0", ""], ["roles", "0", ""]]
    assert made == expected


def test_no_migration_of_this_project_does_more_than_to_define_models() -> None:
    plan = MigrationLoader(None).graph.nodes.values()

    assert [str(each) for each in plan if not is_known(each)] == []
    assert {str(each) for each in plan} >= OF_FIRST_ROWS | OF_OLD_ROWS


def _python(_apps: object, _editor: object) -> None:
    """What a migration of another app might do."""


class _Own(migrations.RunSQL):
    """An operation of another app."""


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RunPython(_python),
        migrations.RunSQL("SELECT 1"),
        _Own("SELECT 1"),
        migrations.SeparateDatabaseAndState(),
    ],
)
def test_a_migration_that_does_more_is_left_to_migrate(operation: Operation) -> None:
    migration = migrations.Migration("0001_initial", "other")
    migration.operations = [operation]

    assert not is_known(migration)


@pytest.mark.django_db
def test_a_database_with_tables_is_left_to_migrate() -> None:
    noted: list[str] = []

    assert not create_tables(connection, noted.append)
    assert noted == []
