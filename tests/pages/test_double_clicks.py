"""Double clicks and Back for real: two processes over one database, and a Chromium.

The table of all forms, each sent twice in turn, is tests/pages/test_sent_twice.py.
"""

import re
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie

import pytest
from playwright.sync_api import Browser, Page

from devtools.servers.client import Answer, HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.pages.test_in_browser import sign_in
from tests.servers.race import RaceRequest, Racers

StartGatehouse = Callable[..., Gatehouse]
LOGIN = "owner@example.com"
USERS = f"""
from accounts.actors import SYSTEM
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="{LOGIN}", role="owner", password="{PASSWORD}", verified=True)
vera = create_user(actor=SYSTEM, email="vera@example.com", password="{PASSWORD}", verified=True)
result = str(vera.pk)
"""
COUNTS = """
from accounts.models import AccountToken, BrowserSession, Invitation, User
from mail.models import OutboxMail
from api.models import ApiKey
from magiclinks.models import LoginLink
from moderation.models import Ban
from forward_auth.models import AccessRule
result = {model.__name__: model.objects.count() for model in (
    AccountToken, ApiKey, Ban, AccessRule, BrowserSession, Invitation, LoginLink,
    OutboxMail, User)}
"""
# name -> path, fields, what it makes, and the status of both answers. {vera}: her id.
FORMS = {
    "key": (
        "/account/keys", {"name": "backup", "scopes": "read", "life": "30"},
        {"ApiKey": 1, "OutboxMail": 1}, 200,
    ),
    "address": (
        "/account/email", {"email": "new@example.com", "password": PASSWORD},
        {"AccountToken": 1, "OutboxMail": 1}, 200,
    ),
    "person": (
        "/admin/accounts/user/add/",
        {"email": "nina@example.com", "name": "", "username": "", "role": "viewer"},
        {"User": 1}, 302,
    ),
    "invitation": (
        "/admin/accounts/invitation/add/",
        {"email": "ian@example.com", "name": "", "role": "viewer", "days": "7"},
        {"Invitation": 1, "OutboxMail": 1}, 200,
    ),
    "ban": (
        "/admin/moderation/ban/add/",
        {"user": "", "network": "198.51.100.9", "duration": "1h", "reason": "Spam"},
        {"Ban": 1}, 302,
    ),
    "rule": (
        "/admin/forward_auth/accessrule/add/",
        {"name": "Shop", "effect": "public", "role": "viewer", "host": "a.b", "is_enabled": "on"},
        {"AccessRule": 1}, 302,
    ),
    "reset": (
        "/admin/accounts/user/{vera}/reset/", {}, {"AccountToken": 1, "OutboxMail": 1}, 200
    ),
    "link": (
        "/admin/accounts/user/",
        {"action": "get_login_url", "_selected_action": "{vera}", "index": "0"},
        {"LoginLink": 1}, 200,
    ),
    "password": (
        "/account/password",
        {"current_password": PASSWORD, "password": "seven quiet rivers under glass"},
        {"OutboxMail": 1}, 303,
    ),
}  # fmt: skip


def form_token(text: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]{64})"', text)
    assert found is not None, text
    return found[1]


@pytest.mark.race
def test_concurrent_double_clicks_create_one_row(
    any_data: InstanceData, gatehouse_server: StartGatehouse, racers: Racers
) -> None:
    vera = any_data.shell(USERS)
    instance = gatehouse_server(any_data, processes=2)
    client = HTTPClient(instance.url)
    client.get("/sign-in")
    assert client.post("/sign-in", {"login": LOGIN, "password": PASSWORD}).status == 302
    before, expected = any_data.shell(COUNTS), {}

    for name, (path, fields, makes, status) in FORMS.items():
        where = path.format(vera=vera)
        sent = {key: value.replace("{vera}", vera) for key, value in fields.items()}
        sent["csrfmiddlewaretoken"] = form_token(client.get("/account/").text)
        requests = [
            RaceRequest(url, "POST", where, sent, dict(client.cookies)) for url in instance.urls
        ]
        answers = racers.run(requests)

        assert [answer.status for answer in answers] == [status, status], name
        assert answers[0].headers.get("location") == answers[1].headers.get("location"), name
        assert answers[0].body == answers[1].body, name
        # A browser keeps the cookies of either response.
        for answer in answers:
            assert _cookies_open_account(instance, client, answer), name
        for model, number in makes.items():
            expected[model] = expected.get(model, 0) + number

    after = any_data.shell(COUNTS)
    made = {model: after[model] - before[model] for model in after if after[model] != before[model]}
    assert made == expected


def _cookies_open_account(instance: Gatehouse, client: HTTPClient, answer: Answer) -> bool:
    browser = HTTPClient(instance.url, client.cookies)
    for line in answer.set_cookies:
        browser.cookies.update({name: item.value for name, item in SimpleCookie(line).items()})
    return browser.get("/account/").status == 200


@pytest.fixture
def opened(
    sqlite_data: InstanceData, gatehouse_server: StartGatehouse, browser: Browser
) -> Iterator[tuple[Gatehouse, InstanceData, Page, str]]:
    """A server, and a Chromium in which its owner is signed in."""
    vera = sqlite_data.shell(USERS)
    instance = gatehouse_server(sqlite_data)
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, instance, LOGIN)
    yield instance, sqlite_data, page, vera
    context.close()


Opened = tuple[Gatehouse, InstanceData, Page, str]


def double_click(page: Page, selector: str) -> None:
    # The second click ends the navigation of the first one; the page of the last one loads.
    with page.expect_event("load"):
        page.dblclick(selector)
    page.wait_for_load_state()


@pytest.mark.browser
def test_a_double_click_creates_one_key_and_shows_it(opened: Opened) -> None:
    instance, data, page, _vera = opened
    page.goto(f"{instance.url}/account/keys")
    page.fill("input[name=name]", "backup")

    double_click(page, "form.new-key button[type=submit]")

    page.wait_for_selector(".key-secret")
    assert "gth_" in page.inner_text(".key-secret")
    assert data.shell(COUNTS)["ApiKey"] == 1


@pytest.mark.browser
def test_going_back_from_a_new_key_creates_no_second_one(opened: Opened) -> None:
    instance, data, page, _vera = opened
    page.goto(f"{instance.url}/account/keys")
    page.fill("input[name=name]", "backup")
    with page.expect_navigation():
        page.click("form.new-key button[type=submit]")
    secret = page.inner_text(".key-secret")

    page.go_back()
    assert secret not in page.content()
    page.click("form.new-key button[type=submit]")
    page.wait_for_load_state()

    assert data.shell(COUNTS)["ApiKey"] == 1


@pytest.mark.browser
@pytest.mark.parametrize(
    ("path", "fields", "choices", "model"),
    [
        ("/admin/accounts/invitation/add/", {"email": "ian@example.com"}, {}, "Invitation"),
        ("/admin/accounts/user/add/", {"email": "nina@example.com"}, {}, "User"),
        ("/admin/moderation/ban/add/", {"network": "198.51.100.9", "reason": "Spam"}, {}, "Ban"),
        (
            "/admin/forward_auth/accessrule/add/",
            {"name": "Shop", "host": "a.b"},
            {"effect": "public", "role": "viewer"},
            "AccessRule",
        ),
    ],
)
def test_in_the_admin_a_double_click_creates_one_row(
    opened: Opened, path: str, fields: dict[str, str], choices: dict[str, str], model: str
) -> None:
    instance, data, page, _vera = opened
    before = data.shell(COUNTS)[model]
    page.goto(instance.url + path)
    for name, value in fields.items():
        page.fill(f"#content-main [name={name}]", value)
    for name, value in choices.items():
        page.select_option(f"#content-main [name={name}]", value)
    button = "#content-main input.default"

    double_click(page, button)

    assert page.locator(".errornote").count() == 0
    assert data.shell(COUNTS)[model] == before + 1
    page.go_back()
    if page.locator(button).count():
        page.click(button)
        page.wait_for_load_state()
    assert data.shell(COUNTS)[model] == before + 1


@pytest.mark.browser
def test_a_double_click_on_a_new_password_keeps_the_user_signed_in(opened: Opened) -> None:
    instance, _data, page, _vera = opened
    page.goto(f"{instance.url}/account/password")
    page.fill("input[name=current_password]", PASSWORD)
    page.fill("input[name=password]", "seven quiet rivers under glass")

    double_click(page, "main button[type=submit]")

    assert "Your password is changed." in page.inner_text("main")


@pytest.mark.browser
def test_after_sign_out_back_shows_nothing(opened: Opened) -> None:
    instance, _data, page, vera = opened
    for path in ("/account/", "/account/keys", f"/admin/accounts/user/{vera}/change/"):
        page.goto(instance.url + path)
    page.goto(f"{instance.url}/sign-out")
    with page.expect_navigation():
        page.click("main button[type=submit]")

    for _step in range(4):
        page.go_back()
        assert "vera@example.com" not in page.content()
        assert LOGIN not in page.content()
        assert page.url.startswith(f"{instance.url}/sign-in")
