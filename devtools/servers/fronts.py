"""Starts real reverse proxies with the shipped configuration, on ports of the test."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devtools.servers.certificates import write_certificate
from devtools.servers.processes import ROOT, ServerProcess, free_port, program
from devtools.servers.proxy_parts import (
    CADDY,
    Reply,
    ask,
    caddy_authority,
    caddy_command,
    certificate_with_key,
    changed,
    connect_by_tls,
    nginx_command,
    speaks_tls,
    without_ipv6,
)

SITE = "gate.example.com"
# The address of a client that is not the proxy; all of 127.0.0.0/8 is this machine.
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: TLS on `port`, plain HTTP on `plain_port`, files in `folder`."""

    name: str
    port: int
    plain_port: int
    authority: Path
    folder: Path
    process: ServerProcess

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """Send a request from CLIENT, and verify the certificate."""
        return self.request("GET", path, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        connected = connect_by_tls(self.port, self.authority, SITE, source=CLIENT, seconds=10)
        return ask(connected, SITE, method, path, body, headers)

    def get_plain(self, path: str) -> Reply:
        return ask(socket.create_connection((PROXY, self.plain_port), 10), SITE, "GET", path)

    def written(self) -> str:
        """The logs of the proxy."""
        logs = self.folder.rglob("*.log")
        return self.process.output() + "".join(log.read_text() for log in logs)


def start_nginx(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    command = render_nginx(upstream, folder, port, plain_port)
    process = ServerProcess(command, folder / "output")
    authority = folder / "certificate.pem"
    process.wait_until(lambda: speaks_tls(port, authority, SITE))
    return Proxy("nginx", port, plain_port, authority, folder, process)


def render_nginx(upstream: int | Path, folder: Path, port: int, plain_port: int) -> list[str]:
    """deploy/nginx.conf with ports and files of the test; the command that runs it."""
    write_certificate(folder, SITE)
    text = changed((ROOT / "deploy" / "nginx.conf").read_text(), {
        "127.0.0.1:8000": f"unix:{upstream}"
        if isinstance(upstream, Path)
        else f"127.0.0.1:{upstream}",
        "listen 80;": f"listen {PROXY}:{plain_port};",
        "listen 443 ssl": f"listen {PROXY}:{port} ssl",
        "/etc/letsencrypt/live/gate.example.com/fullchain.pem": f"{folder}/certificate.pem",
        "/etc/letsencrypt/live/gate.example.com/privkey.pem": f"{folder}/key.pem",
        "/var/log/nginx/": f"{folder}/",
    })  # fmt: skip
    (folder / "gatehouse.conf").write_text(without_ipv6(text))
    return nginx_command(folder, f"include {folder}/gatehouse.conf;", connections=2048)


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
    process = ServerProcess(caddy_command(file), folder / "output", environment=environment)
    authority = caddy_authority(folder)
    process.wait_until(lambda: speaks_tls(port, authority, SITE))
    return Proxy("caddy", port, plain_port, authority, folder, process)


def start_haproxy(upstream: int | Path, folder: Path) -> Proxy:
    port, plain_port = free_port(), free_port()
    write_certificate(folder, SITE)
    text = changed((ROOT / "deploy" / "haproxy.cfg").read_text(), {
        "bind :80\n": f"bind {PROXY}:{plain_port}\n",
        "bind :443 ssl crt /etc/haproxy/certificates/": f"bind {PROXY}:{port} ssl crt "
        f"{certificate_with_key(folder)}",
        "server gatehouse 127.0.0.1:8000": f"server gatehouse {upstream}"
        if isinstance(upstream, Path)
        else f"server gatehouse 127.0.0.1:{upstream}",
    })  # fmt: skip
    file = folder / "haproxy.cfg"
    file.write_text(text)
    process = ServerProcess([program("haproxy"), "-db", "-f", str(file)], folder / "output")
    authority = folder / "certificate.pem"
    process.wait_until(lambda: speaks_tls(port, authority, SITE))
    return Proxy("haproxy", port, plain_port, authority, folder, process)


StartFront = Callable[[int | Path, Path], Proxy]
FRONTS: dict[str, StartFront] = {
    "nginx": start_nginx,
    "caddy": start_caddy,
    "haproxy": start_haproxy,
}
