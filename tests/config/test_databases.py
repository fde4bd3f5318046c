"""Database URLs: the settings for Django, and that no message contains a password."""

from pathlib import Path

import pytest

from config.environment.errors import Unreadable
from config.environment.parsing.databases import (
    database_settings,
    parse_database_url,
)
from config.environment.parsing.urls import hide_password

DATA_DIR = Path("/data")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "/data/gatehouse.sqlite3"),
        ("", "/data/gatehouse.sqlite3"),
        ("sqlite:///people.db", "/data/people.db"),
        ("sqlite:////srv/people.db", "/srv/people.db"),
        ("sqlite:///my%20people.db", "/data/my people.db"),
    ],
)
def test_sqlite_waits_for_locks_instead_of_failing(url: str | None, path: str) -> None:
    assert database_settings(url, DATA_DIR) == {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def test_postgresql_connections_are_persistent() -> None:
    url = "postgresql://gate:p%40ss%2Fword@db.example.com:5433/gate?sslmode=verify-full"

    assert database_settings(url, DATA_DIR) == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "gate",
        "USER": "gate",
        "PASSWORD": "p@ss/word",
        "HOST": "db.example.com",
        "PORT": "5433",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"sslmode": "verify-full"},
    }


def test_postgresql_can_be_a_socket() -> None:
    settings = database_settings("postgres:///gate?host=/run/postgresql", DATA_DIR)

    assert settings["HOST"] == "/run/postgresql"
    assert settings["OPTIONS"] == {}


@pytest.mark.parametrize(
    ("url", "host", "port", "attrs"),
    [
        ("postgres://u:p@db1,db2/gate", "db1,db2", "", "read-write"),
        ("postgres://u:p@db1:5433,db2/gate", "db1,db2", "5433,", "read-write"),
        ("postgres://u:p@DB1:5433,db2:5434/gate", "db1,db2", "5433,5434", "read-write"),
        ("postgres://u:p@[2001:db8::1]:1,[::1]:2/gate", "2001:db8::1,::1", "1,2", "read-write"),
        ("postgres://u:p@db1,[::1]:2/gate", "db1,::1", ",2", "read-write"),
        ("postgres://u@db1,db2/gate?target_session_attrs=any", "db1,db2", "", "any"),
        ("postgres:///gate?host=db1,db2&port=5433", "db1,db2", "5433", "read-write"),
        ("postgres:///gate?host=/run/a,/run/b&port=1,2", "/run/a,/run/b", "1,2", "read-write"),
        ("postgres://%2Frun%2FPostgreSQL/gate", "/run/PostgreSQL", "", None),
        ("postgres://[::1]:5433/gate", "::1", "5433", None),
        ("postgres://db:/gate", "db", "", None),
    ],
)
def test_one_url_can_name_several_servers(
    url: str, host: str, port: str, attrs: str | None
) -> None:
    settings = database_settings(url, DATA_DIR)

    assert (settings["HOST"], settings["PORT"], settings["NAME"]) == (host, port, "gate")
    assert settings["OPTIONS"].get("target_session_attrs") == attrs


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgres://u:hunter2@db1,,db2/gate", "has a host or a port that cannot be read"),
        ("postgres://u:hunter2@db1,/gate", "has a host or a port that cannot be read"),
        ("postgres://u:hunter2@db1:1,db2:0/gate", "has a host or a port that cannot be read"),
        ("postgres://u:hunter2@db1:1:2,db2/gate", "has a host or a port that cannot be read"),
        ("postgres://u:hunter2@[::1,db2/gate", "has a host or a port that cannot be read"),
        ("postgres://u:hunter2@db1%2Cdb2/gate", "has a host or a port that cannot be read"),
        (
            "postgres:///gate?host=a,b,c&port=1,2&application_name=hunter2",
            "has a different number of ports than of hosts",
        ),
        ("postgres://u:hunter2@db/gate?sslmode=a&sslmode=b", "repeats an option"),
        ("mysql://user:hunter2@db/gate", "is neither a postgres:// nor a sqlite:// URL"),
        ("postgres://user:hunter2@db", "does not name one database after the host"),
        ("postgres://user:hunter2@db:99999/gate", "has a host or a port that cannot be read"),
        ("postgres://user:hunter2@db:port/gate", "has a host or a port that cannot be read"),
        ("postgres://user:hunter2 x@db/gate", "contains a space or a control character"),
        ("postgres://user:hunter2@db/gate#x", "contains a # that is not percent-encoded"),
        ("postgres://u:hunter2@db/gate?sslmod=require", "has the unknown option 'sslmod'"),
        ("sqlite://:memory:", "is not the URL of a SQLite file"),
        ("sqlite:///:memory:", "is not the URL of a SQLite file"),
        ("sqlite:///", "is not the URL of a SQLite file"),
        ("hunter2", "is neither a postgres:// nor a sqlite:// URL"),
    ],
)
def test_a_bad_database_url_is_refused_without_being_repeated(url: str, what: str) -> None:
    with pytest.raises(Unreadable) as problem:
        parse_database_url(url)

    assert problem.value.what == what
    assert "hunter2" not in problem.value.what + problem.value.fix


def test_a_parsed_url_does_not_show_its_password() -> None:
    assert "hunter2" not in repr(parse_database_url("postgres://user:hunter2@db/gate"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:hunter2@db/gate", "postgres://u:(set)@db/gate"),
        ("redis://:hunter2@redis/0", "redis://:(set)@redis/0"),
        ("postgres://u:hun@ter2@db/gate", "postgres://u:(set)@db/gate"),
        ("postgres://db/gate?password=hunter2", "postgres://db/gate?(set)"),
        ("sqlite:///people.db", "sqlite:///people.db"),
    ],
)
def test_a_shown_url_has_no_password(url: str, shown: str) -> None:
    assert hide_password(url) == shown
