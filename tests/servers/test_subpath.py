"""The site below a path of its host, behind proxies that keep the path or remove it."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import get_resolver

from config.environment.registry.core import OWN_PATHS
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import (
    ServerProcess,
    accepts_connections,
    free_port,
    program,
    wait_for,
)
from tests.operations.credentials import EMAIL, PASSWORD, USER
from tests.servers.mail import SMTPServer

PREFIX = "/team/gate"
ADDRESS = re.compile(r"""\b(href|src|action|data-[a-z]+)=["'](/[^"']*)["']""")
CADDY = """{{
    admin off
    auto_https off
    storage file_system {folder}/storage
}}
http://127.0.0.1:{port} {{
    handle_path {prefix}/* {{
        reverse_proxy 127.0.0.1:{server}
    }}
    respond "another site"
}}
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://127.0.0.1:{server};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
        location / {{ return 200 "another site"; }}
    }}
}}
"""


class Site:
    """Gatehouse below PREFIX on the port of a proxy. server: the port of Gatehouse itself."""

    def __init__(self, port: int, server: Gatehouse) -> None:
        self.origin, self.server = f"http://127.0.0.1:{port}", server
        self.url = self.origin + PREFIX
        self.browser = HTTPClient(self.origin)

    def sign_in(self) -> None:
        page = self.browser.get(f"{PREFIX}/sign-in")
        assert page.status == 200
        answer = self.browser.post(f"{PREFIX}/sign-in", {"login": EMAIL, "password": PASSWORD})
        assert (answer.status, answer.headers["location"]) == (302, f"{PREFIX}/account/")


@pytest.fixture(params=["hands on", "cuts"])
def site(
    request: pytest.FixtureRequest,
    sqlite_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    smtp_server: SMTPServer,
    tmp_path: Path,
) -> Iterator[Site]:
    port = free_port()
    sqlite_data.shell(USER)
    server = gatehouse_server(
        sqlite_data,
        PUBLIC_URL=f"http://127.0.0.1:{port}{PREFIX}",
        TRUSTED_PROXIES="127.0.0.1",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(smtp_server.port),
        EMAIL_ENCRYPTION="none",
        EMAIL_FROM="gate@example.com",
    )
    text = NGINX if request.param == "hands on" else CADDY
    configuration = tmp_path / "proxy.conf"
    configuration.write_text(
        text.format(folder=tmp_path, port=port, prefix=PREFIX, server=server.ports[0])
    )
    command = (
        [program("nginx"), "-c", str(configuration), "-e", str(tmp_path / "error.log")]
        if request.param == "hands on"
        else [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(configuration)]
    )
    proxy = ServerProcess(command, tmp_path / "proxy.log")
    proxy.wait_until(lambda: accepts_connections(port))
    yield Site(port, server)
    proxy.stop()


def test_every_link_of_every_page_stays_below_the_path(site: Site) -> None:
    site.sign_in()
    waiting, seen = [f"{PREFIX}/account/", f"{PREFIX}/admin/", f"{PREFIX}/api/v1/docs"], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = site.browser.get(path)
        assert (path, answer.status) in {(path, 200), (path, 302)}
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        for kind, found in ADDRESS.findall(answer.text):
            link = urlsplit(unescape(found)).path
            assert link.startswith(f"{PREFIX}/"), (path, found)
            # Pages of one kind differ only in their number.
            if kind == "href" and not re.search(r"[0-9a-f]{8}-|\.[0-9a-f]{12}\.", link):
                waiting += {link} - seen - {*waiting}

    assert len(seen) > 25
    assert f"{PREFIX}/admin/accounts/user/" in seen


def test_static_files_sign_in_links_and_the_api_are_below_the_path(site: Site) -> None:
    page = site.browser.get(f"{PREFIX}/sign-in")
    (stylesheet,) = re.findall(r'rel="stylesheet" href="([^"]+)"', page.text)[:1]
    assert stylesheet.startswith(f"{PREFIX}/static/")
    assert site.browser.get(stylesheet).headers["content-type"].startswith("text/css")

    fetched = site.server.data.manage("magiclink", EMAIL, **site.server.environment).stdout
    (link,) = re.findall(r"http\S+", fetched)
    assert link.startswith(f"{site.url}/magic-link/")
    assert site.browser.get(urlsplit(link).path).status == 200

    token = site.browser.request(
        "POST", f"{PREFIX}/api/v1/auth/token", None, {"Content-Type": "application/json"}
    )
    assert token.status == 402
    assert json.loads(token.text)["type"].startswith(f"{site.url}/api/v1/docs#")


def test_forward_auth_works_below_the_path(site: Site) -> None:
    asked = {"Accept": "text/html", "X-Forwarded-Uri": "/x", "X-Forwarded-Method": "GET"}
    for path in (f"{PREFIX}/auth/forward", "/auth/forward"):
        direct = HTTPClient(site.server.url).get(path, asked)
        assert direct.status == 302
        assert direct.headers["location"].startswith(f"{site.url}/sign-in")
    site.sign_in()

    assert site.browser.get(f"{PREFIX}/auth/check", {"X-Forwarded-Uri": "/x"}).status == 204
    assert site.browser.get(f"{PREFIX}/.well-known/jwks.json").status == 200


def test_mails_of_the_worker_contain_the_path(site: Site, smtp_server: SMTPServer) -> None:
    site.browser.get(f"{PREFIX}/sign-in")
    asked = site.browser.post(f"{PREFIX}/magic-link", {"email": EMAIL})
    assert asked.status == 200

    assert wait_for(lambda: len(smtp_server.mails) == 1, 20)
    (mail,) = smtp_server.mails
    body = mail.message.get_body(("plain",)).get_content()
    assert f"{site.url}/magic-link/" in body
    assert f"{PREFIX}{PREFIX}" not in body


def test_every_first_path_segment_is_reserved() -> None:
    found = set()

    def walk(patterns: list, before: str) -> None:
        for each in patterns:
            route = before + str(each.pattern)
            if route == "" and hasattr(each, "url_patterns"):
                walk(each.url_patterns, route)
            else:
                found.add(route.partition("/")[0])

    walk(get_resolver("config.urls").url_patterns, "")

    assert found - OWN_PATHS == {""}
