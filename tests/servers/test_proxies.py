"""The shipped reverse proxies, as real programs in front of a real server."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse
from tests.servers.http2 import ask_http2
from tests.servers.processes import ROOT, ServerProcess, free_port, program

SITE = "gate.example.com"
# A client that is not the proxy: every address of 127.0.0.0/8 is this machine.
PROXY, CLIENT, CLAIMED = "127.0.0.1", "127.0.0.2", "203.0.113.9"
REDIRECTS = {"nginx": 301, "caddy": 308}
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gatehouse.conf;
}}
"""
# Certificates of its own making instead of those of an authority on the internet.
CADDY = """{{
    admin off
    local_certs
    skip_install_trust
    http_port {plain_port}
    https_port {port}
    storage file_system {folder}/storage
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """headers: names in lower case."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: TLS on `port`, plain HTTP on `plain_port`, its files in `folder`."""

    name: str
    port: int
    plain_port: int
    authority: Path
    folder: Path
    process: ServerProcess

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """From CLIENT, with the certificate checked."""
        return self.request("GET", path, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        return _ask(connect_by_tls(self.port, self.authority), method, path, body, headers)

    def get_plain(self, path: str) -> Reply:
        return _ask(socket.create_connection((PROXY, self.plain_port), 10), "GET", path)

    def written(self) -> str:
        """All that the proxy has written to its logs."""
        logs = self.folder.rglob("*.log")
        return self.process.output() + "".join(log.read_text() for log in logs)


def connect_by_tls(port: int, authority: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority))
    plain = socket.create_connection((PROXY, port), 10, (CLIENT, 0))
    return context.wrap_socket(plain, server_hostname=SITE)


def _speaks_tls(port: int, authority: Path) -> bool:
    """The port is open before the certificate is made."""
    try:
        connect_by_tls(port, authority).close()
    except OSError:
        return False
    return True


def _ask(
    connected: socket.socket,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    connection = http.client.HTTPConnection(SITE)
    connection.sock = connected
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    found = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, found, text)


StartProxy = Callable[[Gatehouse], Proxy]


@pytest.fixture(params=["nginx", "caddy"])
def start_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartProxy]:
    """start_proxy(server) -> the shipped configuration of one program, running in front of it."""
    running: list[Proxy] = []

    def start(server: Gatehouse) -> Proxy:
        folder = tmp_path / request.param
        folder.mkdir()
        make = start_nginx if request.param == "nginx" else start_caddy
        running.append(make(server.ports[0], folder))
        return running[-1]

    yield start
    for proxy in running:
        proxy.process.stop()


def start_nginx(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    main = _render_nginx(upstream, folder, port, plain_port)
    process = ServerProcess([program("nginx"), "-c", str(main)], folder / "output")
    authority = folder / "certificate.pem"
    process.wait_until(lambda: _speaks_tls(port, authority))
    return Proxy("nginx", port, plain_port, authority, folder, process)


def _render_nginx(upstream: int | Path, folder: Path, port: int, plain_port: int) -> Path:
    """deploy/nginx.conf with ports and files of the test; the path of its main file."""
    _write_certificate(folder)
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    changes = {
        "127.0.0.1:8000": f"unix:{upstream}"
        if isinstance(upstream, Path)
        else f"127.0.0.1:{upstream}",
        "listen 80;": f"listen {PROXY}:{plain_port};",
        "listen 443 ssl": f"listen {PROXY}:{port} ssl",
        "/etc/letsencrypt/live/gate.example.com/fullchain.pem": f"{folder}/certificate.pem",
        "/etc/letsencrypt/live/gate.example.com/privkey.pem": f"{folder}/key.pem",
        "/var/log/nginx/": f"{folder}/",
    }
    for shipped, own in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, own)
    # Where the tests run there may be no IPv6.
    text = re.sub(r"(?m)^\s*listen \[::\].*$", "", text)
    (folder / "gatehouse.conf").write_text(text)
    main = folder / "nginx.conf"
    # Started as root, its workers would give root up and could not reach the folder.
    user = "user root;\n" if os.getuid() == 0 else ""
    main.write_text(user + NGINX.format(folder=folder))
    return main


def start_caddy(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    file = folder / "Caddyfile"
    shipped = (ROOT / "deploy" / "Caddyfile").read_text()
    own = CADDY.format(folder=folder, port=port, plain_port=plain_port)
    assert shipped.count("\n{\n") == 1
    file.write_text(shipped.replace("\n{\n", f"\n{own}"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PUBLIC_URL": f"https://{SITE}",
        "UPSTREAM": f"unix/{upstream}" if isinstance(upstream, Path) else f"127.0.0.1:{upstream}",
    }
    command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
    process = ServerProcess(command, folder / "output", environment=environment)
    authority = folder / "storage" / "pki" / "authorities" / "local" / "root.crt"
    process.wait_until(lambda: _speaks_tls(port, authority))
    return Proxy("caddy", port, plain_port, authority, folder, process)


def _write_certificate(folder: Path) -> None:
    """A certificate for SITE that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SITE)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(form))
    private = key.private_bytes(
        form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)


StartGatehouse = Callable[..., Gatehouse]


@pytest.fixture
def server(gatehouse_server: StartGatehouse, sqlite_data: InstanceData) -> Gatehouse:
    """As docs/deployment.md says: a public address and a trusted proxy."""
    return gatehouse_server(sqlite_data, PUBLIC_URL=f"https://{SITE}", TRUSTED_PROXIES="127.0.0.1")


@pytest.fixture
def proxy(server: Gatehouse, start_proxy: StartProxy) -> Proxy:
    return start_proxy(server)


def _addresses(server: Gatehouse, route: str) -> list[str]:
    """The client addresses that the server has logged for requests of this route."""
    lines = [line for line in server.output().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    return [event["ip"] for event in events if event.get("route") == route]


def test_nginx_finds_no_fault_in_the_shipped_file(tmp_path: Path) -> None:
    main = _render_nginx(8000, tmp_path, free_port(), free_port())
    done = subprocess.run([program("nginx"), "-t", "-c", str(main)], capture_output=True, text=True)

    assert "syntax is ok" in done.stderr
    assert "[warn]" not in done.stderr
    assert done.returncode == 0


def test_caddy_finds_no_fault_in_the_shipped_file() -> None:
    command = [program("caddy"), "adapt", "--adapter", "caddyfile", "--validate"]
    command += ["--config", str(ROOT / "deploy" / "Caddyfile")]
    environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PUBLIC_URL": f"https://{SITE}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert done.returncode == 0, done.stderr
    assert "not formatted" not in done.stderr


def test_the_site_answers_through_the_proxy(proxy: Proxy) -> None:
    answer = proxy.get("/health/live")

    assert (answer.status, json.loads(answer.text)) == (200, {"status": "ok"})
    # Only a request that came by TLS gets it: the proxy says so and is believed.
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
def test_another_spelling_of_an_address_buys_no_further_try(
    gatehouse_server: StartGatehouse,
    sqlite_data: InstanceData,
    start_proxy: StartProxy,
    version: str,
) -> None:
    public = f"https://{SITE}"
    server = gatehouse_server(
        sqlite_data, PUBLIC_URL=public, TRUSTED_PROXIES="127.0.0.1", LOGIN_MAX="3"
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


def test_a_proxy_that_is_not_trusted_is_taken_for_the_client(
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


def test_plain_http_leads_to_tls(proxy: Proxy) -> None:
    answer = proxy.get_plain("/sign-in?next=/profile")

    assert answer.status == REDIRECTS[proxy.name]
    assert re.sub(r":\d+/", "/", answer.headers["location"]) == (
        f"https://{SITE}/sign-in?next=/profile"
    )


def test_the_proxy_writes_no_sign_in_link_down(proxy: Proxy) -> None:
    assert proxy.get("/magic-link/a-secret-of-somebody").status == 303
    proxy.get("/magic-link/" + "x" * 9000)

    assert "a-secret-of-somebody" not in proxy.written()


def test_the_proxy_says_so_when_the_server_is_gone(proxy: Proxy, server: Gatehouse) -> None:
    server.stop()

    assert proxy.get("/magic-link/a-secret-of-somebody").status == 502
    assert "a-secret-of-somebody" not in proxy.written()
