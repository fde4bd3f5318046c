"""Settings of the site itself: address, data, secrets, servers it talks to, logs, processes."""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from config.environment.errors import Unreadable
from config.environment.parsing.parsers import TRUE
from config.environment.parsing.urls import DEFAULT_PORTS, LOCAL_HOSTS, origin_of
from config.environment.schema import (
    Alias,
    Section,
    choice,
    database_url,
    integer,
    networks,
    path,
    secret,
    switch,
    text,
    url,
    words,
)
from core.text.plain_text import echo

_SITE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]*[A-Za-z0-9_~-]){1,8}")
USUAL_PORT = 8000
NO_SUFFIX = "none"
_COOKIE_SUFFIX = re.compile(r"[A-Za-z0-9_.~+-]{1,100}")
# How paths of this site begin: with the path /account, /account/ could be the page or the site.
OWN_PATHS = frozenset(
    [".well-known", "account", "admin", "api", "auth", "banned", "branding", "confirm", "health",
     "invitation", "language", "magic-link", "metrics", "oauth", "openid", "password", "robots.txt",
     "scim", "second-factor",
     "set-up", "settings", "sign-in", "sign-out", "sign-up", "static", "verify-email"]
)  # fmt: skip


def khoj_domain_as_url(text: str, texts: Mapping[str, str]) -> str:
    """Khoj gives a bare host and says in KHOJ_NO_HTTPS whether it is served without TLS."""
    if "://" in text:
        return text
    has_no_tls = texts.get("KHOJ_NO_HTTPS", "").strip().lower() in TRUE
    return f"{'http' if has_no_tls else 'https'}://{text.strip()}"


def nextauth_url_as_url(text: str, _texts: Mapping[str, str]) -> str:
    """NextAuth's address may carry the path of its own API."""
    return origin_of(text.strip())


def check_site(url: str) -> str:
    """An address, perhaps with a path below which the whole site lies: https://example.com/gate."""
    path = url.removeprefix(origin_of(url))
    if path and _SITE_PATH.fullmatch(path) is None:
        fix = "use letters, digits, '-', '_', '.' and '~' alone, as in https://example.com/gate"
        raise Unreadable(f"{echo(url)} has a path with unsupported characters", fix)
    if path.split("/")[1:2] and path.split("/")[1] in OWN_PATHS:
        what = f"{echo(url)} has a path that begins like a page of this site"
        raise Unreadable(what, "choose another one, as in https://example.com/gate")
    return url


def cookie_suffix_of(values: Mapping[str, Any]) -> str:
    """The path below which the site lies, and the port of a site on this machine, 8000 apart.

    Browsers send cookies to every port and path of a host name.
    """
    site = urlsplit(values["PUBLIC_URL"])
    port = site.port or DEFAULT_PORTS.get(site.scheme)
    is_local = site.hostname in LOCAL_HOSTS and port != USUAL_PORT
    path = site.path.strip("/").replace("/", "+")
    return "_".join(filter(None, (str(port) if is_local else "", path)))


def check_cookie_suffix(text: str) -> str:
    """What a cookie's name may hold; "" for NO_SUFFIX."""
    if text and _COOKIE_SUFFIX.fullmatch(text) is None:
        fix = "use at most 100 letters, digits, '-', '_', '.', '~' and '+'"
        raise Unreadable(f"{echo(text)} cannot be part of a cookie name", fix)
    return "" if text == NO_SUFFIX else text


def check_listening(host: str) -> str:
    """An address, or unix: with the whole path of a socket file (at most 107 bytes, unix(7))."""
    file = host.removeprefix("unix:")
    if file != host and not (file.startswith("/") and len(file.encode()) < 108):
        fix = "write the whole path of the file, as in unix:/run/gatehouse/gatehouse.sock"
        raise Unreadable(f"{echo(host)} is not a valid path of a socket", fix)
    return host


def check_hosts(hosts: list[str]) -> list[str]:
    """Host names as Django's ALLOWED_HOSTS takes them: no scheme, port or path."""
    for host in hosts:
        if "/" in host or (":" in host and not host.startswith("[")):
            raise Unreadable(f"{echo(host)} is not a bare host name", "cut scheme, port and path")
    return [host.lower() for host in hosts]


def check_time_zone(name: str) -> str:
    """A name of the IANA time zone database."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        fix = "write a name such as UTC or Europe/Berlin"
        raise Unreadable(f"{echo(name)} is not a time zone", fix) from None
    return name


def check_docs_url(address: str) -> str:
    """An http or https address with {page}, or nothing."""
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or "{page}" not in parts.path):
        fix = "write an address such as https://docs.example.com/{page}/"
        raise Unreadable(f"{echo(address)} is not an address of pages", fix)
    return address


def environment_of(values: Mapping[str, Any]) -> str:
    """A site with https is a production site, unless ENVIRONMENT is set."""
    return "production" if values["PUBLIC_URL"].startswith("https://") else "development"


def public_url_of(values: Mapping[str, Any]) -> str:
    """The URL of `make run`."""
    return f"http://localhost:{values['PORT']}"


def log_format_of(values: Mapping[str, Any]) -> str:
    """JSON for log collectors in production, text in development."""
    return "json" if values["ENVIRONMENT"] == "production" else "text"


SITE = Section(
    "The site",
    "Where the site listens, at which URL users open it, and where its data are.",
    path("DATA_DIR", default="./data", example="/var/lib/gatehouse").with_help(
        "The folder that contains the SQLite files and the generated secrets; back it up. A "
        "relative path starts at the project's folder."
    ),
    text(
        "HOST",
        default="127.0.0.1",
        example="0.0.0.0",  # noqa: S104 - an example, for containers
        check=check_listening,
    ).with_help(
        "The address to listen on. The default accepts connections from this machine only; a "
        "container needs 0.0.0.0. unix:/run/gatehouse/gatehouse.sock listens on a socket file for "
        "a proxy on this machine: user and group may connect (0660), PORT is not used, and the "
        "proxy counts as 127.0.0.1 in TRUSTED_PROXIES."
    ),
    integer("PORT", default=8000, example="8080", bounds=(1, 65535)).with_help(
        "The TCP port to listen on."
    ),
    switch("KHOJ_NO_HTTPS", default=False, origin="Khoj").with_help(
        "Whether KHOJ_DOMAIN is served over plain http. It has no other effect."
    ),
    url(
        "PUBLIC_URL",
        default=public_url_of,
        default_note="`http://localhost:<PORT>`",
        example="https://gate.example.com",
        check=check_site,
        aliases=(
            Alias("DOMAIN_SERVER", "LibreChat"),
            Alias("DOMAIN_CLIENT", "LibreChat", "DOMAIN_SERVER takes precedence", yields=True),
            Alias("NEXTAUTH_URL", "LobeChat, Reflector", "a path is cut", nextauth_url_as_url),
            Alias(
                "KHOJ_DOMAIN",
                "Khoj",
                "a bare host; https unless KHOJ_NO_HTTPS is true",
                khoj_domain_as_url,
            ),
        ),
        required_in_production=True,
    ).with_help(
        "The URL at which users open the site, with its path if it has one: "
        "https://example.com/gate. Links in mails start with it, never with what a request says. "
        "https turns on secure cookies and HSTS."
    ),
    text(
        "COOKIE_SUFFIX",
        default=cookie_suffix_of,
        default_note="the path of PUBLIC_URL; on localhost after its port, unless that is 8000",
        example="staging",
        check=check_cookie_suffix,
    ).with_help(
        "The end of every cookie name, as in gatehouse_session_staging. Browsers send cookies to "
        "every port of a host, so instances on the same host need different suffixes. `none` for "
        "no suffix."
    ),
    choice(
        "ENVIRONMENT",
        default=environment_of,
        default_note="production when PUBLIC_URL is https, else development",
        example="production",
        choices=("development", "production"),
    ).with_help(
        "In production, a weak secret, debug pages or a wildcard host stops the start. A published "
        "secret stops every start."
    ),
    words(
        "ALLOWED_HOSTS", default="", example="gate.internal,gate.example.org", check=check_hosts
    ).with_help(
        "Further host names of the site, besides the one of PUBLIC_URL, localhost, 127.0.0.1 and "
        "[::1]. A leading dot allows all subdomains."
    ),
    choice("LANGUAGE_CODE", default="en", example="de", choices=("en", "de")).with_help(
        "The language of mails to users who have not chosen one, and of pages if the browser "
        "requests no supported language."
    ),
    text("TIME_ZONE", default="UTC", example="Europe/Berlin", check=check_time_zone).with_help(
        "The IANA time zone in which pages show times. Stored and logged times are in UTC."
    ),
    text(
        "DOCS_URL",
        default="",
        example="https://docs.example.com/{page}.html",
        check=check_docs_url,
    ).with_help(
        "Where your team reads the documentation: an address with {page} in place of the name of a "
        "page. The link “Help” of each page of the admin panel leads there; not set: no such links."
    ),
    switch("DEBUG", default=False).with_help(
        "Shows tracebacks with local values in the browser. Use it only for development; "
        "production refuses it."
    ),
)

SECRETS = Section(
    "Secrets of the site",
    "If not set, both are generated once in DATA_DIR/secrets. All processes that share the data "
    "need the same values.",
    secret(
        "SECRET_KEY",
        default_note="generated once into DATA_DIR/secrets/django_secret_key",
        origin="Reflector",
        aliases=(
            Alias("KHOJ_DJANGO_SECRET_KEY", "Khoj"),
            Alias("NEXT_AUTH_SECRET", "LobeChat"),
            Alias(
                "NEXTAUTH_SECRET",
                "LobeChat, Reflector",
                "SECRET_KEY takes precedence",
                yields=True,
            ),
            Alias("AUTH_SECRET", "LobeChat"),
        ),
        strong=True,
        generated="django_secret_key",
    ).with_help(
        "Signs short-lived values such as form tokens. At least 32 random characters. If you "
        "change it, signed values become invalid, and no stored data is lost."
    ),
    secret(
        "ENCRYPTION_KEY",
        default_note="generated once into DATA_DIR/secrets/encryption_key",
        strong=True,
        generated="encryption_key",
    ).with_help(
        "Encrypts stored secrets that must be read back, such as links in queued mails, by "
        "AES-256-GCM. 32 random bytes in base64, or 64 hexadecimal digits. Without it the "
        "encrypted values are lost, so back it up."
    ),
)

SERVERS = Section(
    "Database and processes",
    "One node needs no other server. Several nodes need PostgreSQL.",
    database_url(
        "DATABASE_URL",
        default_note="a SQLite file in DATA_DIR",
        example="postgres://gatehouse:PASSWORD@db:5432/gatehouse?sslmode=verify-full",
    ).with_help(
        "The database. Either postgres:// with libpq options such as sslmode, or sqlite:///file "
        "(relative to DATA_DIR; four slashes for an absolute path). Percent-encode special "
        "characters of the password. Separate several servers by commas, as in "
        "postgres://gatehouse:PASSWORD@db1:5432,db2:5432/gatehouse: the first one that accepts "
        "writes is used (target_session_attrs=read-write, unless you set another value)."
    ),
    integer("WEB_WORKERS", default=1, example="4", bounds=(1, 64)).with_help(
        "The number of server processes. One for each core is enough."
    ),
    integer("WEB_THREADS", default=8, example="16", bounds=(1, 64)).with_help(
        "The number of threads for pages and the API in each server process; each may hold one "
        "database connection. Sign-ins have half of them at most. Up to eight further threads "
        "(four with PostgreSQL) answer forward-auth checks; `serve --checks-only` has only these."
    ),
    choice(
        "LOG_LEVEL",
        default="info",
        example="warning",
        choices=("debug", "info", "warning", "error"),
    ).with_help("The lowest level of messages in the log."),
    choice(
        "LOG_FORMAT",
        default=log_format_of,
        default_note="json in production, else text",
        example="json",
        choices=("json", "text"),
    ).with_help("The format of the log: one JSON object for each line, or text for people."),
)

NETWORK = Section(
    "Proxies in front",
    "Limits and the audit log use the client's address. Forwarding headers are ignored until one "
    "of these settings says which proxies to trust.",
    networks("TRUSTED_PROXIES", default="", example="10.0.0.0/8,192.168.1.5").with_help(
        "The networks of your reverse proxies. X-Forwarded-For is read from the right, as long as "
        "the sender is one of them. A network that contains the whole internet is refused."
    ),
    integer(
        "TRUST_PROXY",
        default=0,
        example="1",
        bounds=(0, 10),
        origin="LibreChat",
        fix="write how many proxies stand in front of this server, 0 to 10, for example 1",
    ).with_help(
        "The number of proxies in front of this server, if you do not know their networks. "
        "TRUSTED_PROXIES is safer and takes precedence. Must be a number, not true."
    ),
)
