"""The well-known password, typed from afar through a proxy in which nothing is configured."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.client import HTTPClient
from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse
from tests.servers.processes import ServerProcess, accepts_connections, free_port, program

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; {more}
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""
WELL_KNOWN = {"login": "admin@admin.com", "password": "admin"}
StartGatehouse = Callable[..., Gatehouse]


@pytest.mark.parametrize("more", ["", "proxy_http_version 1.1;"])
def test_a_bare_nginx_is_not_this_machine(
    sqlite_data: InstanceData, gatehouse_server: StartGatehouse, tmp_path: Path, more: str
) -> None:
    sqlite_data.shell("from accounts.services.first_run import ensure_owner; ensure_owner()")
    server, port = gatehouse_server(sqlite_data), free_port()
    text = NGINX.format(folder=tmp_path, port=port, upstream=server.ports[0], more=more)
    (tmp_path / "nginx.conf").write_text(text)
    command = [program("nginx"), "-c", str(tmp_path / "nginx.conf")]
    proxy = ServerProcess(command, tmp_path / "nginx.out")
    try:
        proxy.wait_until(lambda: accepts_connections(port))
        afar, here = HTTPClient(f"http://127.0.0.1:{port}"), server.client()

        for browser in (afar, here):
            browser.get("/sign-in")
        asked, led = afar.post("/sign-in", WELL_KNOWN), here.post("/sign-in", WELL_KNOWN)
    finally:
        proxy.stop()

    assert (asked.status, "setup_code" in asked.text) == (401, True)
    assert led.status == 303
    assert "/set-up/" in led.headers["location"]
