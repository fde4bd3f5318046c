"""A real browser: to the sign-in page and back, and every decision behind each proxy."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from devtools.servers.certificates import write_certificate
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import free_port, program
from tests.forward_auth.echo import EchoApp
from tests.forward_auth.proxies import APP, STARTS, ProxiedApp
from tests.forward_auth.test_forward_proxies import (
    PASSWORD,
    SETTINGS,
    SITE,
    USERS,
    forward_auth_cookie,
)
from tests.servers.fixtures import CHROMIUM_ARGUMENTS


def test_a_sign_in_leads_back_to_the_app_with_a_cookie_for_it_alone(
    page: Page, gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData
) -> None:
    """The form's redirect leaves our host, which the page's own policy has to admit."""
    sqlite_data.shell(USERS)
    app, port = EchoApp(), free_port()
    server = gatehouse_server(
        sqlite_data,
        PUBLIC_URL=f"http://gate.apps.localhost:{port}",
        FORWARD_AUTH_DOMAIN="apps.localhost",
    )
    site = f"http://gate.apps.localhost:{server.ports[0]}"
    back = f"http://app.apps.localhost:{app.port}/board"
    page.goto(f"{site}/sign-in?next={back}")
    page.fill("input[name=login]", "viewer@example.com")
    page.fill("input[name=password]", PASSWORD)
    page.click("form:has(input[name=password]) button[type=submit]")
    page.wait_for_url(back)
    sent = dict(json.loads(page.inner_text("body"))["headers"])
    app.stop()

    assert [part.split("=")[0] for part in sent["cookie"].split("; ")] == ["gatehouse_gate"]


Visit = Callable[..., BrowserContext]
HOST = SITE.removeprefix("https://")
STATUS = """() => fetch("/board", {headers: {"Accept": "application/json"}})
    .then(answer => answer.status)"""


@pytest.fixture(params=list(STARTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData) -> Gatehouse:
    sqlite_data.shell(USERS)
    return gatehouse_server(sqlite_data, **SETTINGS)


@pytest.fixture
def start_proxied_app(
    kind: str, server: Gatehouse, tmp_path: Path
) -> Iterator[Callable[..., ProxiedApp]]:
    """start_proxied_app("admin") -> a proxy with the shipped file that requires this role."""
    app, running = EchoApp(), []

    def start(demand: str = "") -> ProxiedApp:
        folder = tmp_path / f"{kind}{demand}"
        folder.mkdir()
        running.append(STARTS[kind](f"127.0.0.1:{server.ports[0]}", app.port, folder, demand))
        return running[-1]

    yield start
    for proxied_app in running:
        proxied_app.process.stop()
    app.stop()


@pytest.fixture
def visit(browser: Browser, server: Gatehouse, tmp_path: Path) -> Iterator[Visit]:
    """visit(proxied_app, "viewer") -> a signed-in browser that reaches the app by this proxy."""
    opened = []
    write_certificate(tmp_path, APP)
    site = EchoApp(tmp_path / "certificate.pem")

    def start(proxied_app: ProxiedApp, role: str = "") -> BrowserContext:
        rules = [
            f"MAP {APP}:443 127.0.0.1:{proxied_app.port}",
            f"MAP {HOST}:443 127.0.0.1:{site.port}",
        ]
        rule = f"--host-resolver-rules={','.join(rules)}"
        chromium = program("chromium", "chromium-browser", "google-chrome")
        own = browser.browser_type.launch(
            executable_path=chromium, args=[*CHROMIUM_ARGUMENTS, rule]
        )
        opened.append(own)
        context = own.new_context(ignore_https_errors=True)
        if role:
            cookie = {"name": "__Secure-gatehouse_gate", "value": forward_auth_cookie(server, role)}
            context.add_cookies(
                [{**cookie, "domain": ".example.com", "path": "/", "secure": True}]  # type: ignore[list-item]
            )
        return context

    yield start
    for each in opened:
        each.close()
    site.stop()


def test_a_browser_sees_every_decision(
    start_proxied_app: Callable[..., ProxiedApp], visit: Visit, server: Gatehouse
) -> None:
    proxied_app = start_proxied_app()
    page = visit(proxied_app, "viewer").new_page()
    passed = page.goto(f"https://{APP}/board")
    assert passed is not None
    assert (passed.status, json.loads(passed.text())["path"]) == (200, "/board")
    assert_refused(page, "/shut/x")

    assert_refused(visit(proxied_app, "none").new_page(), "/board")

    stranger = visit(proxied_app).new_page()
    stranger.goto(f"https://{APP}/board?a=1")
    assert stranger.url == f"{SITE}/sign-in?next=https://{APP}/board?a=1"
    stranger.goto(f"https://{APP}/open/x")
    assert stranger.evaluate(STATUS) == 401

    server.stop()
    gone = page.goto(f"https://{APP}/other")
    assert gone is not None
    assert gone.status == 503


def test_a_user_below_the_role_of_the_proxy_sees_the_denial(
    start_proxied_app: Callable[..., ProxiedApp], visit: Visit
) -> None:
    proxied_app = start_proxied_app("admin")

    assert_refused(visit(proxied_app, "editor").new_page(), "/board")
    passed = visit(proxied_app, "admin").new_page().goto(f"https://{APP}/board")
    assert passed is not None
    assert passed.status == 200


def assert_refused(page: Page, path: str) -> None:
    answer = page.goto(f"https://{APP}{path}")
    assert answer is not None
    assert answer.status == 403
    assert "You don't have access to this page" in page.inner_text("body")
    assert re.search(r"\b[2-9A-Z]{8}\b", page.inner_text("body"))
