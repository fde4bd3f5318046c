"""Apps that report how they read the path of a request: real servers of several kinds."""

import json
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from devtools.servers.processes import ServerProcess, free_port, program

HERE = "127.0.0.1"
WSGI = """
import json
def app(environ, start):
    body = json.dumps(environ["PATH_INFO"].encode("latin-1").decode(errors="replace")).encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
NODE = """
const http = require("http"), path = require("path");
http.createServer((request, response) => {
  let told;
  try { told = decodeURIComponent(new URL(request.url, "http://app.example.com").pathname); }
  catch { response.statusCode = 400; response.end(); return; }
  response.end(JSON.stringify(process.argv[3] === "send" ? path.posix.normalize(told) : told));
}).listen(Number(process.argv[2]), "127.0.0.1");
"""


class _Files(SimpleHTTPRequestHandler):
    """The standard library's server of files: which file it would read."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(self.translate_path(self.path).removeprefix("/root") or "/").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_of_request: object) -> None:
        """Tests are silent."""


def files_server() -> ThreadingHTTPServer:
    """Bound, not serving yet."""

    def handler(*args: object) -> _Files:
        return _Files(*args, directory="/root")  # type: ignore[arg-type]

    return ThreadingHTTPServer((HERE, 0), handler)


def start_wsgi(folder: Path) -> tuple[int, ServerProcess]:
    port = free_port()
    (folder / "told.py").write_text(WSGI)
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HERE, "--port", str(port),
        "--blocking-threads", "2", "--working-dir", str(folder), "told:app",
    ]  # fmt: skip
    return port, ServerProcess(command, folder / "wsgi.log")


def start_node(folder: Path, kind: str) -> tuple[int, ServerProcess]:
    port = free_port()
    file = folder / f"{kind}.js"
    file.write_text(NODE)
    return port, ServerProcess([program("node"), str(file), str(port), kind], folder / "node.log")


# Each proxy hands on what it was sent, and what it has made of it.
NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{raw}; location / {{ proxy_pass http://127.0.0.1:{app}; }} }}
    server {{ listen 127.0.0.1:{own}; location / {{ proxy_pass http://127.0.0.1:{app}/; }} }}
    server {{
        listen 127.0.0.1:{more}; merge_slashes off;
        location / {{ proxy_pass http://127.0.0.1:{app}/; }}
    }}
}}
"""
CADDY = """{{
	admin off
	default_bind 127.0.0.1
	auto_https off
	storage file_system {folder}/storage
}}
http://127.0.0.1:{raw} {{
	reverse_proxy 127.0.0.1:{app}
}}
http://127.0.0.1:{own} {{
	uri strip_prefix /nothing
	rewrite * {{http.request.uri.path}}
	reverse_proxy 127.0.0.1:{app}
}}
http://127.0.0.1:{more} {{
	handle_path /open/* {{
		rewrite * /open{{http.request.uri.path}}
		reverse_proxy 127.0.0.1:{app}
	}}
	reverse_proxy 127.0.0.1:{app}
}}
"""
HAPROXY = """
global
    expose-experimental-directives
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend raw
    bind 127.0.0.1:{raw}
    default_backend app
frontend own
    bind 127.0.0.1:{own}
    http-request set-path %[path,url_dec]
    default_backend app
frontend more
    bind 127.0.0.1:{more}
    http-request normalize-uri percent-decode-unreserved
    http-request normalize-uri path-merge-slashes
    http-request normalize-uri path-strip-dot
    http-request normalize-uri path-strip-dotdot full
    default_backend app
backend app
    server app 127.0.0.1:{app}
"""
PORTS = ("raw", "own", "more")


def start_proxy(name: str, app: int, folder: Path) -> tuple[list[int], ServerProcess]:
    """The proxy in front of the app: its ports, one for each way to hand on."""
    import os

    ports = {kind: free_port() for kind in PORTS}
    text = {"nginx": NGINX, "caddy": CADDY, "haproxy": HAPROXY}[name]
    user = "user root;" if os.getuid() == 0 else ""
    file = folder / f"{name}.conf"
    file.write_text(text.format(folder=folder, app=app, user=user, **ports))
    commands = {
        "nginx": [program("nginx"), "-c", str(file)],
        "caddy": [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"],
        "haproxy": [program("haproxy"), "-db", "-f", str(file)],
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    log = folder / f"{name}.log"
    return list(ports.values()), ServerProcess(commands[name], log, environment=environment)
