"""The systems that are compared: how each is started, and the requests of each operation.

Every request is complete before the clock starts. What a system does not have is left out.
"""

import http.client
import json
import os
import secrets
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import allauth

from benchmarks.api_plans import FROM_SESSION, PAGE, message
from benchmarks.forward_data import BOARD
from benchmarks.load import Ask, Journey, Plan
from benchmarks.plans import AskForLinks, PlanBase, Redeem, SignIn, browser_cookies
from benchmarks.servers import (
    PASSWORD,
    email_of,
    gatehouse,
    make_data,
    make_users,
    wsgi_server,
)
from devtools.servers.databases import InstanceData
from devtools.servers.processes import ServerProcess, accepts_connections, free_port

NODE = Path(__file__).parent / "node"
# Where Debian's package is: another folder if it has only been unpacked, with its libraries.
GLEWLWYD = Path(os.environ.get("GLEWLWYD_ROOT", "/"))
TABLES = "usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# It listens without TLS only if `use_secure_connection` is left out.
GLEWLWYD_CONF = """
port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="ERROR"
cookie_domain="127.0.0.1"
cookie_secure=0
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
user_middleware_module_path="{middleware}"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3"; path = "{database}"; }};
"""
PEOPLE, SESSIONS, SIGN_INS = 6000, 8, 1000
SIGN_IN, CHECK, WHO, TOKEN, ASKED, REDEEMED = (
    "sign-in by password", "check of a session", "who is signed in", "access token of a session",
    "link asked, until it is mailed", "link redeemed",
)  # fmt: skip
# The sessions of the first people.
COOKIES = f"""
from django.test import Client
from benchmarks.servers import PASSWORD, email_of
result = []
for number in range({SESSIONS}):
    browser = Client(SERVER_NAME="localhost", headers={{"host": "localhost:8000"}})
    answer = browser.post("/sign-in", {{"login": email_of(number), "password": PASSWORD}})
    assert answer.status_code == 302, answer.content
    result.append(f"gatehouse_session={{browser.cookies['gatehouse_session'].value}}")
"""
TOKENS = "from benchmarks.outbox import all_tokens; result = all_tokens()"
STOCK_PEOPLE = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from allauth.account.models import EmailAddress
call_command("migrate", verbosity=0)
hashed = make_password({password!r})
people = [User(username=address, email=address, password=hashed) for address in {addresses!r}]
EmailAddress.objects.bulk_create(
    EmailAddress(user=person, email=person.email, verified=True, primary=True)
    for person in User.objects.bulk_create(people)
)
"""


@dataclass(frozen=True, slots=True)
class Repeat(PlanBase):
    """One request after the other, for ever."""

    expected: int
    messages: list[bytes] = field(repr=False)

    def journey(self, number: int) -> Journey:
        yield Ask("request", self.expected, self.messages[number % len(self.messages)])


@dataclass(frozen=True, slots=True)
class Once(PlanBase):
    """Each request once."""

    expected: int
    messages: list[bytes] = field(repr=False)

    def journey(self, number: int) -> Journey | None:
        return self._send(number) if number < len(self.messages) else None

    def _send(self, number: int) -> Journey:
        yield Ask("request", self.expected, self.messages[number])


@dataclass(frozen=True, slots=True)
class Links:
    """Magic links. count: how many there are; tokens: of these people, by their numbers."""

    ask: Callable[[range], Plan]
    count: Callable[[], int]
    tokens: Callable[[range], dict[int, str]]
    redeem: Callable[[Mapping[int, str]], Plan]


@dataclass(frozen=True, slots=True)
class Contender:
    """A running system. plans: by operation."""

    name: str
    port: int
    plans: dict[str, Plan] = field(repr=False)
    links: Links | None = None


@contextmanager
def ours(place: Path) -> Iterator[Contender]:
    """Gatehouse, with one server process that also makes the mails."""
    data = make_data(place)
    make_users(data, PEOPLE)
    sessions = [{"Cookie": cookie} for cookie in data.shell(COOKIES)]
    original = dict(line.split(": ", 1) for line in BOARD)
    csrf = browser_cookies(0).partition("gatehouse_csrf=")[2][:32]
    with_csrf = [
        {"Cookie": f"{headers['Cookie']}; gatehouse_csrf={csrf}", "X-CSRF-Token": csrf}
        for headers in sessions
    ]
    links = Links(
        lambda people: Shifted(AskForLinks(people.stop), people.start),
        _counter(place / "gatehouse.sqlite3", "magiclinks_loginlink"),
        lambda people: _in_outbox(data, people),
        lambda tokens: Redeem(sorted(tokens.items())),
    )
    with gatehouse(data, 1) as (_server, port):
        yield Contender(
            "Gatehouse",
            port,
            {
                CHECK: Repeat(204, _gets("/auth/check", [each | original for each in sessions])),
                WHO: Repeat(200, _gets(PAGE, sessions)),
                TOKEN: Repeat(200, [message("POST", FROM_SESSION, each, {}) for each in with_csrf]),
                SIGN_IN: SignIn(SIGN_INS),
            },
            links,
        )


@dataclass(frozen=True, slots=True)
class Shifted(PlanBase):
    """Another plan from its person number `first` on."""

    plan: Plan
    first: int

    def journey(self, number: int) -> Journey | None:
        return self.plan.journey(number + self.first)


def _gets(path: str, credentials: Sequence[dict[str, str]]) -> list[bytes]:
    return [message("GET", path, headers) for headers in credentials]


def _counter(database: Path, table: str) -> Callable[[], int]:
    """How many rows the table has."""

    def count() -> int:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            return int(found[0])

    return count


def _in_outbox(data: InstanceData, people: range) -> dict[int, str]:
    every = {int(number): token for number, token in data.shell(TOKENS).items()}
    return {number: every[number] for number in people if number in every}


@contextmanager
def better_auth(place: Path) -> Iterator[Contender]:
    """npm's better-auth; see node/better_auth.mjs."""
    port, database = free_port(), place / "better-auth.sqlite3"
    command = ["node", str(NODE / "better_auth.mjs"), str(port), str(database), str(PEOPLE)]
    environment = {**os.environ, "NODE_ENV": "production"}
    server = ServerProcess(command, place / "better-auth.log", environment=environment)
    origin = {"Origin": f"http://127.0.0.1:{port}"}

    def post(path: str, **content: str) -> bytes:
        return message("POST", f"/api/auth{path}", origin, content)

    def tokens_of(people: range) -> dict[int, str]:
        with closing(sqlite3.connect(database)) as connection:
            found = dict(connection.execute("SELECT email, token FROM outbox"))
        return {number: found[email_of(number)] for number in people if email_of(number) in found}

    try:
        server.wait_until(lambda: accepts_connections(port), 120)
        passwords = [
            {"email": email_of(number), "password": PASSWORD} for number in range(SIGN_INS)
        ]
        sign_ins = [post("/sign-in/email", **each) for each in passwords]
        cookies = [{"Cookie": _cookie_of(port, each)} for each in sign_ins[:SESSIONS]]
        session = Repeat(200, _gets("/api/auth/get-session", cookies))
        links = Links(
            lambda people: Once(
                200, [post("/sign-in/magic-link", email=email_of(number)) for number in people]
            ),
            _counter(database, "outbox"),
            tokens_of,
            lambda tokens: Once(
                302,
                _gets_each(
                    f"/api/auth/magic-link/verify?token={token}&callbackURL=/"
                    for token in tokens.values()
                ),
            ),
        )
        plans: dict[str, Plan] = {
            CHECK: session,
            WHO: session,
            TOKEN: Repeat(200, _gets("/api/auth/token", cookies)),
            SIGN_IN: Repeat(200, sign_ins),
        }
        version = json.loads((NODE / "node_modules/better-auth/package.json").read_text())
        yield Contender(f"better-auth {version['version']}", port, plans, links)
    finally:
        server.stop()


def _gets_each(paths: Iterator[str]) -> list[bytes]:
    return [message("GET", path, {}) for path in paths]


def _cookie_of(port: int, request: bytes) -> str:
    """The cookie that a sign-in gives."""
    head, _separator, body = request.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = dict(each.split(": ", 1) for each in lines)
    connection.request("POST", line.split()[1], body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    cookie = answer.headers["Set-Cookie"] or ""
    if not cookie:
        raise RuntimeError(f"no session: answered {answer.status}")
    return cookie.partition(";")[0]


@contextmanager
def allauth_headless(place: Path) -> Iterator[Contender]:
    """django-allauth's headless API, on the server that Gatehouse uses."""
    (place / "allauth").mkdir()
    settings = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.allauth_headless.settings",
        "STOCK_DATABASE": str(place / "allauth" / "stock.sqlite3"),
        "STOCK_SECRET_KEY": secrets.token_urlsafe(48),
    }
    data = InstanceData("stock", "", place / "allauth", settings)
    addresses = [email_of(number) for number in range(SIGN_INS)]
    data.shell(STOCK_PEOPLE.format(password=PASSWORD, addresses=addresses))
    target, path = "benchmarks.peers.allauth_headless.wsgi:application", "/_allauth/app/v1/auth"
    sign_ins = [
        message("POST", f"{path}/login", {}, {"email": address, "password": PASSWORD})
        for address in addresses
    ]
    with wsgi_server(target, data.data_dir, 1, environment=data.environment()) as (_server, port):
        tokens = [{"X-Session-Token": _session_token(port, each)} for each in sign_ins[:SESSIONS]]
        session = Repeat(200, _gets(f"{path}/session", tokens))
        plans: dict[str, Plan] = {CHECK: session, WHO: session, SIGN_IN: Repeat(200, sign_ins)}
        yield Contender(f"allauth {allauth.__version__} headless", port, plans)


def _session_token(port: int, request: bytes) -> str:
    body = request.partition(b"\r\n\r\n")[2]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/_allauth/app/v1/auth/login", body, headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["meta"]["session_token"])


@contextmanager
def glewlwyd(place: Path) -> Iterator[Contender]:
    """Debian's glewlwyd, with the tables and the administrator that its package makes."""
    port, database = free_port(), place / "glewlwyd.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((GLEWLWYD / TABLES).read_text())
    (place / "middleware").mkdir()
    settings = place / "glewlwyd.conf"
    modules = GLEWLWYD / "usr/lib/glewlwyd"
    settings.write_text(
        GLEWLWYD_CONF.format(
            port=port, modules=modules, middleware=place / "middleware", database=database
        )
    )
    program = str(GLEWLWYD / "usr/bin/glewlwyd")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(GLEWLWYD / LIBRARIES)}
    command = [program, f"--config-file={settings}"]
    server = ServerProcess(command, place / "glewlwyd.log", environment=environment)
    try:
        server.wait_until(lambda: accepts_connections(port))
        asked = {"username": "admin", "password": "password"}
        sign_in = message("POST", "/api/auth/", {}, asked)
        cookies = [{"Cookie": _cookie_of(port, sign_in)} for _session in range(SESSIONS)]
        session = Repeat(200, _gets("/api/profile_list", cookies))
        plans: dict[str, Plan] = {CHECK: session, WHO: session, SIGN_IN: Repeat(200, [sign_in])}
        said = subprocess.run(
            [program, "--version"], env=environment, capture_output=True, text=True, check=False
        )
        yield Contender(f"glewlwyd {said.stdout.strip()}", port, plans)
    finally:
        server.stop()
