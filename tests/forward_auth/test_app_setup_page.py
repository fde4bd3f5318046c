"""The page with the configuration and the live test: what it writes, asks, and does not show."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import User
from applications.models import App
from applications.services.apps import create_app
from forward_auth.models import AccessRule
from forward_auth.services import app_requests, live_test, probes
from forward_auth.services.app_requests import AppClient, NoAnswer, resolve
from forward_auth.services.live_test import run_live_test
from forward_auth.services.proxy_files import FOLDER, files_for, site_of
from forward_auth.services.proxy_parts import parts_of
from forward_auth.services.rules import create_rule

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], datetime]
SECRET = "the-body-that-no-one-sees"
KINDS = ("nginx", "caddy", "traefik", "haproxy", "backend")


@pytest.fixture
def app(db: None) -> App:
    made = App(
        name="Team wiki", url="https://wiki.example.com", proxy="nginx", upstream="10.0.0.5:8080"
    )
    return create_app(actor=SYSTEM, app=made)


def set_up(app: App) -> str:
    return f"/admin/applications/app/{app.pk}/set-up/"


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_names_this_app_and_this_instance(
    app: App, admin: User, browser_of: BrowserOf, kind: str
) -> None:
    url = f"{set_up(app)}?proxy={kind}&upstream=10.0.0.7:81&gatehouse=10.0.0.1:8000"
    page = browser_of(admin).get(url)
    files = page.context["files"]
    whole = "".join(file.text for file in files)

    assert page.status_code == 200
    if kind == "backend":
        assert "GATEHOUSE_URL=http://localhost:8000" in whole
    else:
        assert "app.example.com" not in whole
        assert "127.0.0.1:9000" not in whole
        assert "wiki.example.com" in files[0].text
        assert "10.0.0.7:81" in files[0].text
        assert "10.0.0.1:8000" in files[0].text
    assert [part.line for part in page.context["parts"] if part.line not in whole] == []
    assert len(parts_of(kind)) >= 4
    for file in files:
        answer = browser_of(admin).get(f"{set_up(app)}{file.name}{page.context['query']}")
        assert answer.content.decode() == file.text
        assert answer["Content-Disposition"] == f'attachment; filename="{file.name}"'


def test_another_file_is_not_found(app: App, admin: User, browser_of: BrowserOf) -> None:
    assert browser_of(admin).get(f"{set_up(app)}settings.py").status_code == 404


def test_values_that_do_not_belong_into_a_file_are_refused(
    app: App, admin: User, browser_of: BrowserOf
) -> None:
    page = browser_of(admin).get(f"{set_up(app)}?proxy=nginx&upstream=a:80;%20evil&gatehouse=x")

    assert set(page.context["form"].errors) == {"upstream", "gatehouse"}
    assert page.context["files"] == []


def test_the_traefik_file_is_the_example_with_other_names(app: App) -> None:
    """Traefik itself is not run here; the structure is that of the example."""
    (made,) = files_for("traefik", site_of(app, "10.0.0.7:81", "10.0.0.1:8000"))
    changes = {
        "wiki.example.com": "app.example.com",
        "team-wiki-websocket:": "app-websocket:",
        "    team-wiki:": "    app:",
        "service: team-wiki": "service: app",
        "team-wiki-strip": "gatehouse-strip",
        "team-wiki-only-websocket": "only-websocket",
        "team-wiki-no-upgrade": "no-upgrade",
        "team-wiki-ask": "gatehouse-ask",
        "10.0.0.1:8000": "gatehouse:8000",
        "10.0.0.7:81": "app:9000",
    }
    text = made.text
    for new, old in changes.items():
        assert new in text
        text = text.replace(new, old)

    def lines(source: str) -> list[str]:
        return [line for line in source.splitlines() if not line.startswith("#")]

    assert lines(text) == lines((FOLDER / "traefik.yaml").read_text())


def test_two_apps_of_one_nginx_share_no_name(app: App) -> None:
    other = create_app(actor=SYSTEM, app=App(name="x" * 60, url="https://x.example.com"))
    names = []
    for one in (app, other):
        (file,) = files_for("nginx", site_of(one))
        names.append(set(re.findall(r"(?m)^(?:upstream|map \$\w+) (\$?\w+)", file.text)))

    assert len(names[0]) == len(names[1]) == 8
    assert names[0] & names[1] == set()
    # nginx refuses longer ones (variables_hash_bucket_size).
    assert max(map(len, names[0] | names[1])) < 50


def test_the_files_are_in_the_image() -> None:
    shipped = (Path(FOLDER).parents[1] / ".dockerignore").read_text().split()

    assert {"!deploy/forward-auth/", "!docs/examples/"} <= set(shipped)


def test_admins_test_an_app_after_recent_authentication(
    app: App, admin: User, browser_of: BrowserOf, at_time: AtTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(_address: object, path: str, *_more: object) -> None:
        asked.append(path)
        raise ConnectionRefusedError

    monkeypatch.setattr(app_requests, "_exchange", refuse)
    browser = browser_of(admin)
    page = browser.post(set_up(app))

    assert page.status_code == 200
    (line,) = page.context["findings"]
    assert (line.finding.code, line.finding.state) == ("reachable", "bad")
    assert "No program listens at wiki.example.com." in page.content.decode()
    assert browser.post(set_up(app)).status_code == 200
    assert asked == ["/", "/"]

    at_time(timedelta(minutes=16))
    assert browser.post(set_up(app))["Location"].startswith("/confirm")
    assert len(asked) == 2


def test_editors_do_not_get_there(app: App, editor: User, browser_of: BrowserOf) -> None:
    assert browser_of(editor).get(set_up(app)).status_code == 403
    assert browser_of(editor).post(set_up(app)).status_code == 403


class Elsewhere(BaseHTTPRequestHandler):
    """Redirects to another address, with a body that no one sees."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/other")
        self.send_header("X-Powered-By", SECRET)
        self.end_headers()
        self.wfile.write(SECRET.encode())

    def log_message(self, *_of_request: object) -> None:
        """Tests are silent."""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.asked, server.status = [], 302  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def plain_app(port: int) -> App:
    url = f"http://127.0.0.1:{port}"
    return create_app(actor=SYSTEM, app=App(name="Plain", url=url, proxy="caddy"))


def test_no_redirect_is_followed_and_no_body_is_shown(
    elsewhere: ThreadingHTTPServer, admin: User, browser_of: BrowserOf
) -> None:
    app = plain_app(elsewhere.server_address[1])
    page = browser_of(admin).post(set_up(app)).content.decode()

    asked = elsewhere.asked  # type: ignore[attr-defined]
    assert {path for path, _headers in asked} == {"/"}
    assert SECRET not in page
    # No credential of the administrator or of the instance goes along.
    names = {name.lower() for _path, headers in asked for name in headers}
    assert "authorization" not in names
    assert "x-api-key" not in names
    assert "cookie" not in names


def test_an_app_that_answers_without_a_check_is_open(elsewhere: ThreadingHTTPServer) -> None:
    elsewhere.status = 200  # type: ignore[attr-defined]
    found = {one.code: one for one in run_live_test(plain_app(elsewhere.server_address[1]))}

    assert {code: str(one.state) for code, one in found.items()} == {
        "reachable": "warning",
        "program": "bad",
        "browser": "bad",
        # One cause is told once.
        "rest": "unseen",
    }
    assert "Anyone can open the app." in found["program"].text
    assert found["program"].line == "uri /auth/forward"


def test_an_app_that_is_public_by_a_rule_is_said_to_be(elsewhere: ThreadingHTTPServer) -> None:
    app = plain_app(elsewhere.server_address[1])
    create_rule(actor=SYSTEM, rule=AccessRule(name="All", effect="public", host="127.0.0.1"))

    assert [one.code for one in run_live_test(app)] == ["reachable", "public"]


@pytest.mark.parametrize(("status", "state"), [(401, "good"), (200, "bad"), (403, "bad")])
def test_a_backend_must_refuse_what_is_no_token(
    elsewhere: ThreadingHTTPServer, status: int, state: str
) -> None:
    elsewhere.status = status  # type: ignore[attr-defined]
    app = plain_app(elsewhere.server_address[1])
    app.proxy = "backend"
    found = {one.code: str(one.state) for one in run_live_test(app)}

    assert found == {
        "reachable": "warning",
        "no-token": state,
        "broken-token": state,
        "unsigned-token": state,
    }


def test_a_server_that_sends_a_byte_now_and_then_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_requests, "STEP_SECONDS", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connected = listener.accept()[0]
        try:
            while not stop.wait(0.05):
                connected.sendall(b"H")
        except OSError:
            return

    threading.Thread(target=drip, daemon=True).start()
    client = AppClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(NoAnswer):
        client.get("/", {})
    stop.set()
    listener.close()


def test_a_test_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_requests, "TOTAL_SECONDS", 0.0)

    with pytest.raises(NoAnswer) as caught:
        AppClient("http://127.0.0.1:9").get("/", {})

    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "0.0.0.0",
     "::", "fd00:ec2::254", "100.100.100.200"],
)  # fmt: skip
def test_no_request_goes_to_link_local_addresses(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)

    with pytest.raises(NoAnswer) as caught:
        resolve("wiki.example.com", 443)

    assert caught.value.kind == "forbidden"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "fd00::1"])
def test_private_networks_are_where_apps_are(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)

    assert resolve("wiki.example.com", 443) == address


FORWARD = {"x-original-url": "https://a.b/", "x-original-method": "GET"}


def test_a_probe_is_denied_like_any_request_and_told_what_arrived(client: Client) -> None:
    claims = {"remote-user": "owner@example.com", "x-remote-user": "x", "remote.name": "x"}
    probe = {probes.PROBE: probes.new_probe()}
    answer = client.get("/auth/forward", headers={**FORWARD, **claims, **probe})

    assert answer.status_code == 401
    assert answer[probes.SEEN] == "Remote-User, X-Remote-User, Remote.Name"
    assert "owner@example.com" not in str(answer.headers)
    nothing = client.get("/auth/forward", headers={**FORWARD, **probe})
    assert nothing[probes.SEEN] == "none"


@pytest.mark.parametrize("probe", ["", "probe", "probe:x:y", "x" * 200])
def test_a_forged_probe_is_told_nothing(client: Client, probe: str) -> None:
    answer = client.get("/auth/forward", headers={**FORWARD, probes.PROBE: probe})

    assert answer.status_code == 401
    assert probes.SEEN not in answer.headers


def test_an_old_probe_is_told_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probes.new_probe()
    monkeypatch.setattr(probes, "LIFE_SECONDS", -1)

    answer = client.get("/auth/forward", headers={**FORWARD, probes.PROBE: probe})

    assert probes.SEEN not in answer.headers


def test_a_probe_opens_nothing_and_adds_nothing_to_an_allowed_request(
    client: Client, viewer: User, browser_of: BrowserOf
) -> None:
    probe = {probes.PROBE: probes.new_probe()}
    allowed = browser_of(viewer).get("/auth/forward", headers={**FORWARD, **probe})

    assert allowed.status_code == 204
    assert probes.SEEN not in allowed.headers
    assert client.get("/auth/check", headers={**FORWARD, **probe}).status_code == 401


def test_the_page_says_which_settings_are_missing(
    app: App, admin: User, browser_of: BrowserOf, settings: Settings
) -> None:
    met = [need.is_met for need in browser_of(admin).get(set_up(app)).context["needs"]]
    assert met == [False, False]
    settings.FORWARD_AUTH_DOMAIN, settings.PUBLIC_SCHEME = "example.com", "https"
    settings.TRUST_PROXY = 1

    needs = browser_of(admin).get(set_up(app)).context["needs"]

    assert [need.is_met for need in needs] == [True, True]
    assert needs[0].line == "FORWARD_AUTH_DOMAIN=example.com"


def test_states_have_words() -> None:
    assert {str(state) for state in live_test.State} == {"good", "bad", "warning", "unseen"}
