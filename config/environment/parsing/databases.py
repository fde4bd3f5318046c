"""Parses DATABASE_URL and makes Django's DATABASES from it. Pure."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from config.environment.errors import Unreadable
from config.environment.parsing.urls import SECRETIVE_FIX, check_printable, split_url
from core.text.plain_text import echo

SQLITE_FILE = "gatehouse.sqlite3"
_PLACE = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\[\]:@]*)(?::(?P<port>[0-9]{0,5}))?")
DATABASE_FIX = "write postgres://user:password@host:5432/name or sqlite:///file.sqlite3"
# What libpq takes in a URL and administrators need; anything else would be a silent typing error.
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
        "load_balance_hosts",
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
    """A database URL in its parts; for SQLite only `name`, the path, is filled.

    host and port: several, separated by commas, where the URL names several servers.
    """

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
    scheme, _colon, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # Several hosts are no authority that urlsplit() reads; they are read here.
    parts = split_url(f"{scheme}://host{rest[len(authority) :]}")
    check_printable(url)
    if parts.fragment:
        raise Unreadable("contains a # that is not percent-encoded", "write %23 instead of #")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise Unreadable("repeats an option", "write it once")
    identity, _at, places = authority.rpartition("@")
    user, _colon, password = identity.partition(":")
    hosts, ports = _places(places)
    if not any(hosts):
        hosts = options.pop("host", "").split(",")
        ports = options.pop("port", "").split(",")
        _check_ports(ports)
    if len(ports) not in (1, len(hosts)):
        raise Unreadable("has a different number of ports than of hosts", DATABASE_FIX)
    unknown = sorted(set(options) - POSTGRES_OPTIONS)
    if unknown:
        fix = f"remove it; supported are {', '.join(sorted(POSTGRES_OPTIONS))}"
        raise Unreadable(f"has the unknown option {echo(unknown[0])}", fix)
    name = unquote(parts.path.lstrip("/"))
    if not name or "/" in name:
        raise Unreadable("does not name one database after the host", DATABASE_FIX)
    if len(hosts) > 1:
        # A standby cannot record sign-ins. The URL may say otherwise.
        options.setdefault("target_session_attrs", "read-write")
    return Database(
        "postgres",
        name,
        user=unquote(user),
        password=unquote(password),
        host=",".join(hosts),
        port=",".join(ports) if any(ports) else "",
        options=options,
    )


def _places(text: str) -> tuple[list[str], list[str]]:
    """Hosts and ports of `host:port,host:port`, as libpq reads it; "" for its default port."""
    found = [_PLACE.fullmatch(place) for place in text.split(",")]
    places = [match for match in found if match is not None]
    is_list = len(found) > 1
    if len(places) < len(found) or (is_list and not all(place["host"] for place in places)):
        raise Unreadable("has a host or a port that cannot be read", SECRETIVE_FIX)
    hosts = [unquote(place["host"]).strip("[]") for place in places]
    ports = [place["port"] or "" for place in places]
    _check_ports(ports)
    if any("," in host for host in hosts):
        raise Unreadable("has a host or a port that cannot be read", SECRETIVE_FIX)
    return [host if host.startswith("/") else host.lower() for host in hosts], ports


def _check_ports(ports: list[str]) -> None:
    for port in ports:
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Unreadable("has a host or a port that cannot be read", SECRETIVE_FIX)


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
