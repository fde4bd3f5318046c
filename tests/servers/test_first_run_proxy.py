"""The well-known password through proxies and tunnels that add no header."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ServerProcess, accepts_connections, free_port, program

# {host}: the host of PUBLIC_URL.
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream kept {{ server 127.0.0.1:{upstream}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port}; {more}
    location / {{ proxy_pass http://{target}; }}
  }}
}}
"""
SILENT_NGINX = """proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host {host};"""
CADDY = """
{{
    admin off
}}
http://127.0.0.1:{port} {{
    reverse_proxy 127.0.0.1:{upstream} {{
        header_up Host {host}
        header_up -X-Forwarded-*
        header_up -Via
    }}
}}
"""
HAPROXY = """
defaults
    mode {mode}
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen web
    bind 127.0.0.1:{port}
    server gatehouse 127.0.0.1:{upstream}
"""
# One process for all connections, or one for each, like socat and sshd.
TUNNEL = """
import os, select, socket, sys
port, upstream, forks = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "forks"
ear = socket.create_server(("127.0.0.1", port))
while True:
    client, _address = ear.accept()
    if forks and os.fork():
        client.close()
        continue
    if forks:
        ear.close()
    server = socket.create_connection(("127.0.0.1", upstream))
    other = {client: server, server: client}
    while data := (ready := select.select(list(other), [], [])[0][0]).recv(65536):
        other[ready].sendall(data)
    client.close(), server.close()
    if forks:
        os._exit(0)
"""
WELL_KNOWN = {"login": "admin@admin.com", "password": "admin"}
FIRST = {"email": "eve@example.com", "name": "Eve", "password": "correct horse battery staple"}
ALL_CLIENTS = """
from accounts.models import User
result = [[user.email, user.role] for user in User.objects.all()]
"""
# A client on this machine that runs as the user with the given id.
CLIENT = """
import http.client, os, sys, urllib.parse
port, user = int(sys.argv[1]), int(sys.argv[2])
"".encode("idna")  # loaded while its file may be read
os.setuid(user)
connection = http.client.HTTPConnection("127.0.0.1", port)
connection.request("GET", "/sign-in")
answer = connection.getresponse()
answer.read()
cookies = [line.partition(";")[0] for line in answer.headers.get_all("Set-Cookie")]
token = next(each.partition("=")[2] for each in cookies if "gatehouse_csrf" in each)
fields = {"csrfmiddlewaretoken": token, "login": "admin@admin.com", "password": "admin"}
headers = {"Cookie": "; ".join(cookies), "Content-Type": "application/x-www-form-urlencoded"}
connection.request("POST", "/sign-in", urllib.parse.urlencode(fields), headers)
print(connection.getresponse().status)
"""
StartGatehouse = Callable[..., Gatehouse]
StartTunnel = Callable[[int, int, str, Path], ServerProcess]


def _nginx(port: int, upstream: int, host: str, folder: Path) -> ServerProcess:
    return _start_nginx(port, upstream, folder, SILENT_NGINX.format(host=host), "kept")


def _start_nginx(
    port: int, upstream: int, folder: Path, more: str, target: str = ""
) -> ServerProcess:
    # The workers run as the user of the server, which is root if root runs the tests.
    user = "user root;" if os.getuid() == 0 else ""
    target = target or f"127.0.0.1:{upstream}"
    text = NGINX.format(
        folder=folder, port=port, upstream=upstream, target=target, more=more, user=user
    )
    (folder / "nginx.conf").write_text(text)
    return ServerProcess([program("nginx"), "-c", str(folder / "nginx.conf")], folder / "out")


def _caddy(port: int, upstream: int, host: str, folder: Path) -> ServerProcess:
    (folder / "Caddyfile").write_text(CADDY.format(port=port, upstream=upstream, host=host))
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return ServerProcess(
        [*command, str(folder / "Caddyfile")], folder / "out", environment=environment
    )


def _haproxy(mode: str) -> StartTunnel:
    def start(port: int, upstream: int, _host: str, folder: Path) -> ServerProcess:
        text = HAPROXY.format(port=port, upstream=upstream, mode=mode)
        (folder / "haproxy.cfg").write_text(text)
        command = [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]
        return ServerProcess(command, folder / "out")

    return start


def _tunnel(kind: str) -> StartTunnel:
    def start(port: int, upstream: int, _host: str, folder: Path) -> ServerProcess:
        command = [sys.executable, "-c", TUNNEL, str(port), str(upstream), kind]
        return ServerProcess(command, folder / "out")

    return start


TUNNELS: dict[str, StartTunnel] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "haproxy": _haproxy("http"),
    "haproxy-tcp": _haproxy("tcp"),
    "one-process": _tunnel("one"),
    "a-process-for-each": _tunnel("forks"),
}


@pytest.fixture
def server(sqlite_data: InstanceData, gatehouse_server: StartGatehouse) -> Gatehouse:
    """An instance without an owner."""
    sqlite_data.shell("from accounts.services.first_run import ensure_owner; ensure_owner()")
    return gatehouse_server(sqlite_data)


@pytest.mark.parametrize("more", ["", "proxy_http_version 1.1;"])
def test_a_plain_nginx_does_not_count_as_localhost(
    server: Gatehouse, tmp_path: Path, more: str
) -> None:
    port = free_port()
    proxy = _start_nginx(port, server.ports[0], tmp_path, more)
    try:
        proxy.wait_until(lambda: accepts_connections(port))
        afar = HTTPClient(f"http://127.0.0.1:{port}")
        afar.get("/sign-in")
        asked = afar.post("/sign-in", WELL_KNOWN)
        # A new process, because this one may be the server of other tests.
        led = _ask(server, tmp_path, os.getuid())
    finally:
        proxy.stop()

    assert (asked.status, "setup_code" in asked.text) == (401, True)
    assert led == "303"


@pytest.mark.parametrize("kind", TUNNELS)
def test_a_proxy_without_headers_does_not_count_as_localhost(
    server: Gatehouse, tmp_path: Path, kind: str
) -> None:
    """A proxy with HTTP/1.1, keep-alive, the host of PUBLIC_URL, and no header of its own."""
    port = free_port()
    host = f"127.0.0.1:{server.ports[0]}"
    proxy = TUNNELS[kind](port, server.ports[0], host, tmp_path)
    try:
        proxy.wait_until(lambda: accepts_connections(port))
        afar = HTTPClient(f"http://127.0.0.1:{port}")
        afar.get("/sign-in", {"Host": host})
        asked = afar.post("/sign-in", WELL_KNOWN, {"Host": host})
        signed_up = afar.post("/sign-up", FIRST, {"Host": host})
    finally:
        proxy.stop()

    assert (asked.status, "setup_code" in asked.text) == (401, True)
    assert (signed_up.status, "setup_code" in signed_up.text) == (400, True)
    assert "location" not in asked.headers
    assert server.data.shell(ALL_CLIENTS) == [["admin@admin.com", "owner"]]


def test_only_the_user_who_runs_the_server_counts_as_localhost(
    server: Gatehouse, tmp_path: Path
) -> None:
    assert _ask(server, tmp_path, os.getuid()) == "303"
    if os.getuid() != 0:
        pytest.skip("to be another user needs root")
    assert _ask(server, tmp_path, 65534) == "401"


def _ask(server: Gatehouse, folder: Path, user: int) -> str:
    """The status of a sign-in with the well-known password by a process of this user."""
    command = [sys.executable, "-c", CLIENT, str(server.ports[0]), str(user)]
    client = ServerProcess(command, folder / f"client-{user}")
    client.process.wait(30)
    return client.output().strip()
