"""The shipped reverse proxies for Gatehouse itself, as real programs with ports of the test."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import write_certificate
from tests.servers.processes import ROOT, ServerProcess, free_port, program

SITE = "gate.example.com"
# A client that is not the proxy: every address of 127.0.0.0/8 is this machine.
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"
NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 4096;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
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
    default_bind 127.0.0.1
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
        return ask(connect_by_tls(self.port, self.authority), method, path, body, headers)

    def get_plain(self, path: str) -> Reply:
        return ask(socket.create_connection((PROXY, self.plain_port), 10), "GET", path)

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


def ask(
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


def start_nginx(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    main = render_nginx(upstream, folder, port, plain_port)
    process = ServerProcess([program("nginx"), "-c", str(main)], folder / "output")
    authority = folder / "certificate.pem"
    process.wait_until(lambda: _speaks_tls(port, authority))
    return Proxy("nginx", port, plain_port, authority, folder, process)


def render_nginx(upstream: int | Path, folder: Path, port: int, plain_port: int) -> Path:
    """deploy/nginx.conf with ports and files of the test; the path of its main file."""
    write_certificate(folder, SITE)
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


def start_haproxy(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    write_certificate(folder, SITE)
    both = (folder / "certificate.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "both.pem").write_text(both)
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    changes = {
        "bind :80\n": f"bind {PROXY}:{plain_port}\n",
        "bind :443 ssl crt /etc/haproxy/certificates/": f"bind {PROXY}:{port} ssl crt "
        f"{folder}/both.pem",
        "server gatehouse 127.0.0.1:8000": f"server gatehouse {upstream}"
        if isinstance(upstream, Path)
        else f"server gatehouse 127.0.0.1:{upstream}",
    }
    for shipped, own in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, own)
    file = folder / "haproxy.cfg"
    file.write_text(text)
    process = ServerProcess([program("haproxy"), "-db", "-f", str(file)], folder / "output")
    authority = folder / "certificate.pem"
    process.wait_until(lambda: _speaks_tls(port, authority))
    return Proxy("haproxy", port, plain_port, authority, folder, process)


StartFront = Callable[[int | Path, Path], Proxy]
FRONTS: dict[str, StartFront] = {
    "nginx": start_nginx,
    "caddy": start_caddy,
    "haproxy": start_haproxy,
}
