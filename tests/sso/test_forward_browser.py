"""A real browser: from the app to the sign-in page and back, with the cookie of the domain."""

import json
from collections.abc import Callable

from playwright.sync_api import Page

from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse
from tests.servers.processes import free_port
from tests.sso.echo import EchoApp
from tests.sso.test_forward_proxies import PASSWORD, PEOPLE


def test_a_sign_in_leads_back_to_the_app_with_a_cookie_for_it_alone(
    page: Page, gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData
) -> None:
    """The form's redirect leaves our host, which the page's own policy has to admit."""
    sqlite_data.shell(PEOPLE)
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
