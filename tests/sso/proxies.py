"""The shipped examples of forward auth as real programs: with ports and files of the test."""

import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.certificates import write_certificate
from tests.servers.processes import ROOT, ServerProcess, free_port, program

APP = "app.example.com"
HERE = "127.0.0.1"
EXAMPLES = ROOT / "deploy" / "forward-auth"
NGINX = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 30000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream gatehouse {{ server {gatehouse}; keepalive 16; }}
    include {folder}/app.conf;
}}
"""
CADDY = """{{
	admin off
	default_bind 127.0.0.1
	local_certs
	skip_install_trust
	http_port {plain_port}
	https_port {port}
	storage file_system {folder}/storage
}}
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """headers: names in lower case."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def echo(self) -> dict[str, Any]:
        """What the app says that it was sent: method, path, headers (pairs), length."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    def sent(self, name: str) -> list[str]:
        """Every value of a header that reached the app, in whatever spelling."""
        wanted = name.lower().replace("_", "-").replace(".", "-")
        pairs = self.echo["headers"]
        return [value for key, value in pairs if re.sub("[_.]", "-", key) == wanted]


@dataclass(frozen=True, slots=True)
class Gate:
    """A running proxy in front of the app: TLS on `port`."""

    name: str
    port: int
    authority: Path
    process: ServerProcess

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority))
        plain = socket.create_connection((HERE, self.port), 20)
        return context.wrap_socket(plain, server_hostname=APP)

    def ask(
        self,
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Reply:
        """One request of a client, with the certificate checked."""
        connection = http.client.HTTPConnection(APP)
        connection.sock = self.connect()
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        found = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, found, text)

    def speaks(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True


Start = Callable[..., Gate]


def start_nginx(gatehouse: str, app: int, folder: Path, demand: str = "") -> Gate:
    """demand: a role that is asked for beyond the rules, as the file says how."""
    write_certificate(folder, APP)
    port = free_port()
    text = _changed("nginx.conf", {
        f"{HERE}:9000": f"{HERE}:{app}",
        "listen 443 ssl": f"listen {HERE}:{port} ssl",
        "/etc/letsencrypt/live/app.example.com/fullchain.pem": f"{folder}/certificate.pem",
        "/etc/letsencrypt/live/app.example.com/privkey.pem": f"{folder}/key.pem",
        'map $server_name $gate_demand {\n    default "";': "map $server_name $gate_demand {\n"
        f'    default "{demand and f"?role={demand}"}";',
    })  # fmt: skip
    # Where the tests run there may be no IPv6.
    (folder / "app.conf").write_text(re.sub(r"(?m)^\s*listen \[::\].*$", "", text))
    main = folder / "nginx.conf"
    # Started as root, its workers would give root up and could not reach the folder.
    user = "user root;" if os.getuid() == 0 else ""
    main.write_text(NGINX.format(folder=folder, gatehouse=gatehouse, user=user))
    command = [program("nginx"), "-c", str(main)]
    return _started("nginx", command, folder, port, folder / "certificate.pem")


def start_caddy(gatehouse: str, app: int, folder: Path, demand: str = "") -> Gate:
    port = free_port()
    own = CADDY.format(folder=folder, port=port, plain_port=free_port())
    file = folder / "Caddyfile"
    file.write_text(own + _changed("Caddyfile", {
        "uri /auth/forward\n": f"uri /auth/forward{demand and f'?role={demand}'}\n",
    }))  # fmt: skip
    command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
    authority = folder / "storage" / "pki" / "authorities" / "local" / "root.crt"
    environment = {"GATEHOUSE": gatehouse, "APP": f"{HERE}:{app}", "HOME": str(folder)}
    return _started("caddy", command, folder, port, authority, environment)


def start_haproxy(gatehouse: str, app: int, folder: Path, demand: str = "") -> Gate:
    write_certificate(folder, APP)
    both = (folder / "certificate.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "both.pem").write_text(both)
    port = free_port()
    text = _changed("haproxy.cfg", {
        "http://127.0.0.1:8000": f"http://{gatehouse}",
        "/etc/haproxy/gatehouse.lua": str(EXAMPLES / "gatehouse.lua"),
        "bind :443 ssl crt /etc/haproxy/certificates/": f"bind {HERE}:{port} ssl crt "
        f"{folder}/both.pem",
        f"server app {HERE}:9000": f"server app {HERE}:{app}",
        "lua.gatehouse rules": f"lua.gatehouse {demand or 'rules'}",
    })  # fmt: skip
    file = folder / "haproxy.cfg"
    file.write_text(text)
    command = [program("haproxy"), "-db", "-f", str(file)]
    return _started("haproxy", command, folder, port, folder / "certificate.pem")


STARTS: dict[str, Start] = {"nginx": start_nginx, "caddy": start_caddy, "haproxy": start_haproxy}


def _changed(name: str, changes: Mapping[str, str]) -> str:
    """A shipped file with these changes, each of which it holds exactly once outside comments."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (EXAMPLES / name).read_text())
    for shipped, own in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, own)
    return text


def _started(
    name: str,
    command: list[str],
    folder: Path,
    port: int,
    authority: Path,
    environment: Mapping[str, str] | None = None,
) -> Gate:
    whole = {"PATH": os.environ["PATH"], **(environment or {})}
    process = ServerProcess(command, folder / "output", environment=whole)
    gate = Gate(name, port, authority, process)
    process.wait_until(gate.speaks)
    return gate
