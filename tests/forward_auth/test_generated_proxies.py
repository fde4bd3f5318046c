"""The configuration that the set-up page writes, run by the real proxies, and the live test of it.

Only what a test machine needs is changed: the address to listen on, the certificate, and IPv6.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from applications.models import App
from devtools.servers import proxy_parts
from devtools.servers.certificates import write_certificate
from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ServerProcess, free_port, program
from devtools.servers.proxy_parts import (
    CADDY,
    HERE,
    caddy_authority,
    caddy_command,
    certificate_with_key,
    connect_by_tls,
    nginx_command,
    speaks_tls,
    without_ipv6,
)
from forward_auth.services import app_requests
from forward_auth.services.live_test import Finding, State, run_live_test
from forward_auth.services.probes import SPOOFED
from forward_auth.services.proxy_files import files_for, site_of
from tests.forward_auth.echo import EchoApp
from tests.forward_auth.proxies import Reply
from tests.forward_auth.test_forward_proxies import SETTINGS, SITE, USERS, forward_auth_cookie

WIKI = "wiki.example.com"
KINDS = ("nginx", "caddy", "haproxy")
SECRET = "a-secret-key-that-the-test-and-the-server-share-0123456789"
Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Protected:
    """A running proxy with a generated file. app: not stored; its address has the port."""

    app: App
    port: int
    authority: Path
    process: ServerProcess

    def ask(self, headers: dict[str, str]) -> Reply:
        """One request, with the certificate checked."""
        connected = connect_by_tls(self.port, self.authority, WIKI)
        found = proxy_parts.ask(connected, f"{WIKI}:{self.port}", "GET", "/", None, headers)
        return Reply(found.status, found.headers, found.text)


@pytest.fixture(scope="module")
def data(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> InstanceData:
    found = data_templates.fresh("sqlite", tmp_path_factory.mktemp("data"))
    found.shell(USERS)
    return found


@pytest.fixture(scope="module")
def server(data: InstanceData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    environment = {**SETTINGS, "SECRET_KEY": SECRET}
    running = Gatehouse(data, tmp_path_factory.mktemp("gatehouse"), 1, environment)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoApp]:
    running = EchoApp()
    yield running
    running.stop()


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the settings of the server, and finds the app on this machine."""
    settings.SECRET_KEY = SECRET
    settings.PUBLIC_URL = settings.PUBLIC_ORIGIN = SITE
    settings.PUBLIC_HOST, settings.PUBLIC_SCHEME = "gate.example.com", "https"
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    settings.FORWARD_AUTH_COOKIE_NAME = "__Secure-gatehouse_gate"
    monkeypatch.setattr(app_requests, "resolve", lambda _host, _port: HERE)


def start(
    kind: str, gatehouse: str, echo: EchoApp, folder: Path, change: Change = lambda text: text
) -> Protected:
    """change: makes a mistake in the file."""
    port = free_port()
    app = App(
        name="Team wiki", slug="team-wiki", url=f"https://{WIKI}:{port}", host=WIKI, proxy=kind
    )
    files = files_for(kind, site_of(app, f"{HERE}:{echo.port}", gatehouse))
    write_certificate(folder, WIKI)
    for file in files:
        (folder / file.name).write_text(file.text)
    main = folder / files[0].name
    command = _COMMANDS[kind](main, change(files[0].text), port)
    authority = caddy_authority(folder) if kind == "caddy" else folder / "certificate.pem"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    process = ServerProcess(command, folder / "output", environment=environment)
    process.wait_until(lambda: speaks_tls(port, authority, WIKI))
    return Protected(app, port, authority, process)


def _once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def _nginx(main: Path, text: str, port: int) -> list[str]:
    folder = main.parent
    text = _once(text, f"listen {port} ssl", f"listen {HERE}:{port} ssl")
    text = _once(text, f"/etc/letsencrypt/live/{WIKI}/fullchain.pem", f"{folder}/certificate.pem")
    text = _once(text, f"/etc/letsencrypt/live/{WIKI}/privkey.pem", f"{folder}/key.pem")
    main.write_text(without_ipv6(text))
    return nginx_command(folder, f"access_log off;\n    include {main};")


def _caddy(main: Path, text: str, port: int) -> list[str]:
    own = CADDY.format(folder=main.parent, port=port, plain_port=free_port())
    main.write_text(f"{own}}}\n{text}")
    return caddy_command(main)


def _haproxy(main: Path, text: str, port: int) -> list[str]:
    folder = main.parent
    text = _once(text, "/etc/haproxy/gatehouse.lua", str(folder / "gatehouse.lua"))
    both = certificate_with_key(folder)
    text = _once(
        text,
        f"bind :{port} ssl crt /etc/haproxy/certificates/",
        f"bind {HERE}:{port} ssl crt {both}",
    )
    main.write_text(text)
    return [program("haproxy"), "-db", "-f", str(main)]


_COMMANDS: dict[str, Callable[[Path, str, int], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "haproxy": _haproxy,
}


@pytest.fixture(scope="module", params=KINDS)
def protected(
    request: pytest.FixtureRequest,
    server: Gatehouse,
    echo: EchoApp,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Protected]:
    kind = request.param
    running = start(kind, f"{HERE}:{server.ports[0]}", echo, tmp_path_factory.mktemp(kind))
    yield running
    running.process.stop()


def findings(protected: Protected, settings: Settings) -> dict[str, Finding]:
    settings.PROVIDER_CA_FILE = str(protected.authority)
    return {one.code: one for one in run_live_test(protected.app)}


def test_a_generated_file_lets_nothing_through_that_a_client_claims(
    protected: Protected, server: Gatehouse
) -> None:
    cookie = {"Cookie": f"__Secure-gatehouse_gate={forward_auth_cookie(server, 'editor')}"}
    claims = dict.fromkeys(SPOOFED, "owner@example.com")
    reply = protected.ask({**claims, **cookie})

    assert reply.status == 200
    assert reply.sent("Remote-User") == ["editor@example.com"]
    assert reply.sent("Remote-Groups") == ["editor"]
    assert "owner@example.com" not in reply.text
    assert "gatehouse_gate" not in reply.text


@pytest.mark.django_db
@pytest.mark.usefixtures("here")
def test_the_live_test_of_a_generated_file_finds_no_fault(
    protected: Protected, settings: Settings, echo: EchoApp
) -> None:
    before = echo.seen
    found = findings(protected, settings)

    assert {code: str(one.state) for code, one in found.items()} == {
        "reachable": "good",
        "program": "good",
        "browser": "good",
        "spellings": "good",
        # nginx replaces these after the check; a green light would be a guess.
        "spoofed": "unseen" if protected.app.proxy == "nginx" else "good",
        "sign-out": "good",
        "websocket": "good",
        "upgrade": "good",
    }
    assert echo.seen == before


def _without(pattern: str) -> Change:
    """The file without the lines that match, of which there must be some."""

    def change(text: str) -> str:
        done = re.sub(rf"(?m)^\s*{pattern}.*\n", "", text)
        assert done != text
        return done

    return change


def _with(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


# (proxy, mistake in the file, codes of the findings that are wrong then)
MISTAKES: dict[str, tuple[str, Change, set[str]]] = {
    "nginx does not ask": (
        "nginx",
        _without(r"auth_request /_gatehouse;"),
        {"program", "browser"},
    ),
    "nginx passes underscores": (
        "nginx",
        _with("underscores_in_headers off", "underscores_in_headers on"),
        {"spellings"},
    ),
    "nginx passes dots": (
        "nginx",
        _with("ignore_invalid_headers on", "ignore_invalid_headers off"),
        {"spellings"},
    ),
    "nginx forgets the scheme": (
        "nginx",
        _with("X-Original-URL $scheme://", "X-Original-URL http://"),
        {"browser"},
    ),
    "nginx answers 401 itself": (
        "nginx",
        _without(r"error_page 401 403"),
        {"program", "browser"},
    ),
    "Caddy keeps the headers": (
        "caddy",
        _without(r"request_header -Remote\*"),
        {"spoofed", "spellings"},
    ),
    "Caddy keeps underscores": ("caddy", _without(r"request_header -\*_\*"), {"spellings"}),
    "HAProxy keeps the headers": (
        "haproxy",
        _without(r"http-request del-header remote"),
        {"spoofed", "spellings"},
    ),
    "HAProxy does not ask": (
        "haproxy",
        _without(r"http-request lua.gatehouse rules"),
        {"program", "browser"},
    ),
}


@pytest.mark.django_db
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_the_live_test_finds_the_mistake_and_names_a_line(
    mistake: str, server: Gatehouse, echo: EchoApp, settings: Settings, tmp_path: Path
) -> None:
    kind, change, expected = MISTAKES[mistake]
    running = start(kind, f"{HERE}:{server.ports[0]}", echo, tmp_path, change)
    try:
        found = findings(running, settings)
    finally:
        running.process.stop()

    wrong = {code for code, one in found.items() if one.state is State.BAD}
    assert wrong == expected
    assert ("rest" in found) is ({"program", "browser"} <= wrong)
    assert all(found[code].fix and found[code].line for code in wrong)


@pytest.mark.django_db
@pytest.mark.usefixtures("here")
def test_a_proxy_without_gatehouse_is_found(
    echo: EchoApp, settings: Settings, tmp_path: Path
) -> None:
    running = start("caddy", f"{HERE}:{free_port()}", echo, tmp_path)
    try:
        found = findings(running, settings)
    finally:
        running.process.stop()

    assert found["program"].state is State.BAD
    assert "cannot reach Gatehouse" in found["program"].text
