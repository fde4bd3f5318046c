"""DATABASE_URL and CACHE_URL: read in one place, and turned into Django's DATABASES. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from config.env.problems import Unreadable, echo
from config.env.urls import split_url

SQLITE_FILE = "gatehouse.sqlite3"
DATABASE_FIX = "write postgres://user:password@host:5432/name or sqlite:///file.sqlite3"
CACHE_FIX = "write redis://host:6379/0, or rediss:// for TLS"
# What libpq takes in a URL and an operator needs; anything else would be a silent typing error.
POSTGRES_OPTIONS = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "options",
        "passfile",
        "service",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database URL in its parts; for SQLite only `name`, the path, is filled."""

    engine: str
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    port: str = ""
    options: dict[str, str] = field(default_factory=dict)


def parse_database_url(url: str) -> Database:
    """The parts of `url`. Raises Unreadable, which never repeats it."""
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return _parse_sqlite(url)
    if scheme in ("postgres", "postgresql"):
        return _parse_postgres(url)
    raise Unreadable("is neither a postgres:// nor a sqlite:// URL", DATABASE_FIX)


def _parse_sqlite(url: str) -> Database:
    start = "sqlite:///"
    path = url[len(start) :]
    if not url.lower().startswith(start) or not path or ":memory:" in path or "?" in path:
        raise Unreadable("is not the URL of a SQLite file", DATABASE_FIX)
    return Database("sqlite", unquote(path))


def _parse_postgres(url: str) -> Database:
    parts = split_url(url)
    if parts.fragment:
        raise Unreadable("holds a # that is not percent-encoded", "write %23 instead of #")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.hostname or options.pop("host", "")
    unknown = sorted(set(options) - POSTGRES_OPTIONS)
    if unknown:
        fix = f"remove it; understood are {', '.join(sorted(POSTGRES_OPTIONS))}"
        raise Unreadable(f"has the unknown option {echo(unknown[0])}", fix)
    name = unquote(parts.path.lstrip("/"))
    if not name or "/" in name:
        raise Unreadable("does not name one database after the host", DATABASE_FIX)
    return Database(
        "postgres",
        name,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=host,
        port=str(parts.port or ""),
        options=options,
    )


def database_settings(url: str | None, data_dir: Path) -> dict[str, Any]:
    """Django's settings of one database; without `url` the SQLite file in `data_dir`.

    A relative SQLite path is below `data_dir`, so that a backup of that folder holds it.
    """
    database = parse_database_url(url) if url else Database("sqlite", SQLITE_FILE)
    if database.engine == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(data_dir) / database.name),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # Read-then-write in a deferred transaction fails at once, whatever the timeout.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database.name,
        "USER": database.user,
        "PASSWORD": database.password,
        "HOST": database.host,
        "PORT": database.port,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": dict(database.options),
    }


def parse_cache_url(url: str) -> str:
    """`url` when it names a Redis server. Raises Unreadable, which never repeats it."""
    parts = split_url(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise Unreadable("is not the URL of a Redis server", CACHE_FIX)
    return url
