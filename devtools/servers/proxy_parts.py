"""What tests of real proxies share: TLS with a certificate of their own, and main files."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devtools.servers.processes import program

HERE = "127.0.0.1"
# The main file of nginx; everything that it writes is in the folder.
NGINX = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""
# Options of Caddy, without their last brace; its certificates are of its own making.
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


def ask(
    connected: socket.socket,
    host: str,
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on this connection, which is closed after it."""
    connection = http.client.HTTPConnection(host)
    connection.sock = connected
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    found = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, found, text)


def connect_by_tls(
    port: int, authority: Path, host: str, *, source: str = "", seconds: float = 20
) -> ssl.SSLSocket:
    """With the certificate checked. source: the address of the client."""
    context = ssl.create_default_context(cafile=str(authority))
    plain = socket.create_connection((HERE, port), seconds, (source, 0) if source else None)
    return context.wrap_socket(plain, server_hostname=host)


def speaks_tls(port: int, authority: Path, host: str) -> bool:
    """The port is open before the certificate is made."""
    try:
        connect_by_tls(port, authority, host).close()
    except OSError:
        return False
    return True


def changed(text: str, changes: Mapping[str, str]) -> str:
    """A shipped file with these changes, each of which it holds exactly once."""
    for shipped, own in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, own)
    return text


def without_ipv6(text: str) -> str:
    """Where the tests run there may be none."""
    return re.sub(r"(?m)^\s*listen \[::\].*$", "", text)


def nginx_command(folder: Path, http: str, connections: int = 1024) -> list[str]:
    """Writes nginx.conf, with this in its block `http`; the command that runs it."""
    # Started as root, its workers would give root up and could not reach the folder.
    user = "user root;" if os.getuid() == 0 else ""
    main = folder / "nginx.conf"
    main.write_text(
        NGINX.format(
            folder=folder, http=http, connections=connections, files=3 * connections, user=user
        )
    )
    return [program("nginx"), "-c", str(main)]


def caddy_command(file: Path) -> list[str]:
    return [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]


def caddy_authority(folder: Path) -> Path:
    """Where Caddy puts the certificate to trust."""
    return folder / "storage" / "pki" / "authorities" / "local" / "root.crt"


def certificate_with_key(folder: Path) -> Path:
    """Both of write_certificate() in one file, as HAProxy wants them."""
    both = folder / "both.pem"
    both.write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
    return both
