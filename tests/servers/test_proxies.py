"""The shipped configurations of reverse proxies, in front of a real server."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from devtools.servers.certificates import write_certificate
from devtools.servers.databases import InstanceData
from devtools.servers.fronts import CLIENT, FRONTS, PROXY, SITE, Proxy, render_nginx
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ROOT, free_port, program
from tests.servers.http2 import ask_http2

REDIRECTS = {"nginx": 301, "caddy": 308, "haproxy": 301}
GONE = {"nginx": 502, "caddy": 502, "haproxy": 503}
CLAIMED = "203.0.113.9"
StartProxy = Callable[[Gatehouse], Proxy]


@pytest.fixture(params=list(FRONTS))
def start_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartProxy]:
    """start_proxy(server) -> a proxy with the shipped configuration in front of the server."""
    running: list[Proxy] = []

    def start(server: Gatehouse) -> Proxy:
        folder = tmp_path / request.param
        folder.mkdir()
        running.append(FRONTS[request.param](server.ports[0], folder))
        return running[-1]

    yield start
    for proxy in running:
        proxy.process.stop()


StartGatehouse = Callable[..., Gatehouse]


@pytest.fixture
def server(gatehouse_server: StartGatehouse, sqlite_data: InstanceData) -> Gatehouse:
    """A server as in docs/deployment.md: a public address and a trusted proxy."""
    return gatehouse_server(sqlite_data, PUBLIC_URL=f"https://{SITE}", TRUSTED_PROXIES="127.0.0.1")


@pytest.fixture
def proxy(server: Gatehouse, start_proxy: StartProxy) -> Proxy:
    return start_proxy(server)


def _addresses(server: Gatehouse, route: str) -> list[str]:
    """The client addresses that the server has logged for requests of this route."""
    lines = [line for line in server.output().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    return [event["ip"] for event in events if event.get("route") == route]


def test_nginx_validates_the_shipped_file(tmp_path: Path) -> None:
    command = render_nginx(8000, tmp_path, free_port(), free_port())
    done = subprocess.run([*command, "-t"], capture_output=True, text=True)

    assert "syntax is ok" in done.stderr
    assert "[warn]" not in done.stderr
    assert done.returncode == 0


def test_caddy_validates_the_shipped_file() -> None:
    command = [program("caddy"), "adapt", "--adapter", "caddyfile", "--validate"]
    command += ["--config", str(ROOT / "deploy" / "Caddyfile")]
    environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PUBLIC_URL": f"https://{SITE}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert done.returncode == 0, done.stderr
    assert "not formatted" not in done.stderr


def test_haproxy_validates_the_shipped_file(tmp_path: Path) -> None:
    write_certificate(tmp_path, SITE)
    both = (tmp_path / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text()
    (tmp_path / "both.pem").write_text(both)
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    file = tmp_path / "haproxy.cfg"
    file.write_text(text.replace("/etc/haproxy/certificates/", f"{tmp_path}/both.pem"))
    command = [program("haproxy"), "-c", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_site_answers_through_the_proxy(proxy: Proxy) -> None:
    answer = proxy.get("/health/live")

    assert (answer.status, json.loads(answer.text)) == (200, {"status": "ok"})
    # Only a request over TLS gets it, as the trusted proxy reports.
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


def test_the_server_sees_the_client_and_not_the_proxy(proxy: Proxy, server: Gatehouse) -> None:
    proxy.get("/health/ready")

    assert _addresses(server, "health/ready") == [CLIENT]


def test_a_client_cannot_claim_another_address(proxy: Proxy, server: Gatehouse) -> None:
    claims = (
        "X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For", "X_Forwarded-For",
        "X-Forwarded_For", "X_Real_IP",
    )  # fmt: skip
    proxy.get("/health/ready", dict.fromkeys(claims, CLAIMED))

    assert _addresses(server, "health/ready") == [CLIENT]


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_another_spelling_of_an_address_gives_no_more_attempts(
    gatehouse_server: StartGatehouse,
    sqlite_data: InstanceData,
    start_proxy: StartProxy,
    version: str,
) -> None:
    public = f"https://{SITE}"
    server = gatehouse_server(
        sqlite_data,
        PUBLIC_URL=public,
        TRUSTED_PROXIES="127.0.0.1",
        LOGIN_MAX="3",
        LOGIN_WINDOW="1d",
    )
    proxy = start_proxy(server)
    body = json.dumps({"email": "anna@example.com", "password": "no such word"})
    statuses = []
    for number in range(6):
        headers = {"Content-Type": "application/json"}
        headers |= dict.fromkeys(["X_Forwarded_For", "X-Forwarded_For"], f"203.0.113.{number}")
        statuses.append(_try_token(proxy, version, headers, body))

    assert statuses == [401] * 3 + [429] * 3


def _try_token(proxy: Proxy, version: str, headers: dict[str, str], body: str) -> int:
    path = "/api/v1/auth/token"
    if version == "1.1":
        return proxy.request("POST", path, body, headers).status
    where = f"https://{PROXY}:{proxy.port}"
    return ask_http2(
        where, path, headers, host=SITE, method="POST", authority=proxy.authority, body=body
    ).status


def test_an_untrusted_proxy_counts_as_the_client(
    gatehouse_server: StartGatehouse, sqlite_data: InstanceData, start_proxy: StartProxy
) -> None:
    server = gatehouse_server(sqlite_data, PUBLIC_URL=f"https://{SITE}")
    start_proxy(server).get("/health/ready")

    assert _addresses(server, "health/ready") == [PROXY]


def test_a_form_goes_through_the_proxy(proxy: Proxy) -> None:
    page = proxy.get("/sign-in")
    cookies = re.findall(r"(__Host-gatehouse_csrf)=(\w+)", page.headers["set-cookie"])
    (name, token) = cookies[0]
    answer = proxy.request(
        "POST",
        "/magic-link",
        urlencode({"csrfmiddlewaretoken": token, "email": "anna@example.com"}),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"{name}={token}",
            "Origin": f"https://{SITE}",
        },
    )

    assert answer.status == 200


def test_plain_http_redirects_to_https(proxy: Proxy) -> None:
    answer = proxy.get_plain("/sign-in?next=/profile")

    assert answer.status == REDIRECTS[proxy.name]
    assert re.sub(r":\d+/", "/", answer.headers["location"]) == (
        f"https://{SITE}/sign-in?next=/profile"
    )


def test_the_proxy_logs_no_sign_in_link(proxy: Proxy) -> None:
    assert proxy.get("/magic-link/a-secret-of-somebody").status == 303
    proxy.get("/magic-link/" + "x" * 9000)

    assert "a-secret-of-somebody" not in proxy.written()


def test_the_proxy_reports_a_missing_server(proxy: Proxy, server: Gatehouse) -> None:
    server.stop()

    assert proxy.get("/magic-link/a-secret-of-somebody").status == GONE[proxy.name]
    assert "a-secret-of-somebody" not in proxy.written()
