"""The shipped examples of forward auth as real programs: with ports and files of the test."""

import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools.servers import proxy_parts
from devtools.servers.certificates import write_certificate
from devtools.servers.processes import ROOT, ServerProcess, free_port, program
from devtools.servers.proxy_parts import (
    CADDY,
    HERE,
    caddy_authority,
    caddy_command,
    certificate_with_key,
    changed,
    connect_by_tls,
    nginx_command,
    speaks_tls,
    without_ipv6,
)

APP = "app.example.com"
EXAMPLES = ROOT / "deploy" / "forward-auth"
NGINX = """access_log off;
    upstream gatehouse {{ server {gatehouse}; keepalive 16; }}
    include {folder}/app.conf;"""


@dataclass(frozen=True, slots=True)
class Reply(proxy_parts.Reply):
    """What a client gets, and what the app says that it was sent."""

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
class ProxiedApp:
    """A running proxy in front of the app: TLS on `port`."""

    name: str
    port: int
    authority: Path
    process: ServerProcess

    def connect(self) -> ssl.SSLSocket:
        return connect_by_tls(self.port, self.authority, APP)

    def ask(
        self,
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Reply:
        """One request of a client, with the certificate checked."""
        found = proxy_parts.ask(self.connect(), APP, method, path, body, headers)
        return Reply(found.status, found.headers, found.text)

    def speaks(self) -> bool:
        return speaks_tls(self.port, self.authority, APP)


Start = Callable[..., ProxiedApp]


def start_nginx(gatehouse: str, app: int, folder: Path, demand: str = "") -> ProxiedApp:
    """demand: a role that is asked for beyond the rules, as the file says how."""
    write_certificate(folder, APP)
    port = free_port()
    text = _changed("nginx.conf", {
        f"{HERE}:9000": f"{HERE}:{app}",
        "listen 443 ssl": f"listen {HERE}:{port} ssl",
        "/etc/letsencrypt/live/app.example.com/fullchain.pem": f"{folder}/certificate.pem",
        "/etc/letsencrypt/live/app.example.com/privkey.pem": f"{folder}/key.pem",
        'map $server_name $gatehouse_role {\n    default "";':
        "map $server_name $gatehouse_role {\n"
        f'    default "{demand and f"?role={demand}"}";',
    })  # fmt: skip
    (folder / "app.conf").write_text(without_ipv6(text))
    http = NGINX.format(folder=folder, gatehouse=gatehouse)
    command = nginx_command(folder, http, connections=12_000)
    return _started("nginx", command, folder, port, folder / "certificate.pem")


def start_caddy(gatehouse: str, app: int, folder: Path, demand: str = "") -> ProxiedApp:
    port = free_port()
    own = CADDY.format(folder=folder, port=port, plain_port=free_port())
    file = folder / "Caddyfile"
    file.write_text(f"{own}}}\n" + _changed("Caddyfile", {
        "uri /auth/forward\n": f"uri /auth/forward{demand and f'?role={demand}'}\n",
    }))  # fmt: skip
    environment = {"GATEHOUSE": gatehouse, "APP": f"{HERE}:{app}", "HOME": str(folder)}
    return _started(
        "caddy", caddy_command(file), folder, port, caddy_authority(folder), environment
    )


def start_haproxy(gatehouse: str, app: int, folder: Path, demand: str = "") -> ProxiedApp:
    write_certificate(folder, APP)
    port = free_port()
    text = _changed("haproxy.cfg", {
        "http://127.0.0.1:8000": f"http://{gatehouse}",
        "/etc/haproxy/gatehouse.lua": str(EXAMPLES / "gatehouse.lua"),
        "bind :443 ssl crt /etc/haproxy/certificates/": f"bind {HERE}:{port} ssl crt "
        f"{certificate_with_key(folder)}",
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
    return changed(re.sub(r"(?m)^\s*#.*\n", "", (EXAMPLES / name).read_text()), changes)


def _started(
    name: str,
    command: list[str],
    folder: Path,
    port: int,
    authority: Path,
    environment: Mapping[str, str] | None = None,
) -> ProxiedApp:
    whole = {"PATH": os.environ["PATH"], **(environment or {})}
    process = ServerProcess(command, folder / "output", environment=whole)
    proxied_app = ProxiedApp(name, port, authority, process)
    process.wait_until(proxied_app.speaks)
    return proxied_app
