"""openid-client, which most apps in Node use, registers, signs a person in and refreshes."""

import html
import json
import re
import subprocess
from collections.abc import Callable

from devtools.servers.client import Answer, HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import program
from tests.pages.pages import read
from tests.servers.node import NODE_FOLDER

# An owner in whose browser a session has begun, and an app with a secret.
PREPARE = """
from datetime import timedelta
from django.test import Client
from django.utils import timezone
from accounts.models import User
from applications.services.secrets import create_secret
from oidc_provider.services.registration import create_token
from tests.oidc_provider.relying_party import make_client
owner = User(email="olga@example.com", role="owner", email_verified_at=timezone.now())
owner.set_password("seven quiet rivers under glass")
owner.save(force_insert=True)
browser = Client()
login = {"login": "olga@example.com", "password": "seven quiet rivers under glass"}
assert browser.post("/sign-in", login, headers={"host": "localhost:8000"}).status_code == 302
app = make_client("web")
values = {"name": "CI", "openid_role": "viewer", "max_uses": 1}
token = create_token(actor=owner, values=values, lifetime=timedelta(hours=1)).text
result = {
    "cookies": {name: cookie.value for name, cookie in browser.cookies.items()},
    "client": [app.client_id, create_secret(actor=owner, app=app).text],
    "registration": ["register", token],
}
"""


def test_openid_client_accepts_every_answer(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    """Discovery, `iss`, nonce, max_age with auth_time, signature, at_hash, userinfo, revocation.

    As an app that an owner has made, and as one that registers itself, which people allow.
    """
    made = sqlite_data.shell(PREPARE)
    gatehouse = gatehouse_server(sqlite_data)
    browser = HTTPClient(gatehouse.url, made["cookies"])
    command = [program("node"), str(NODE_FOLDER / "relying_party.mjs"), gatehouse.url]
    for arguments, sent_back in ((made["client"], _redirected), (made["registration"], _allowed)):
        app = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert app.stdin is not None
        assert app.stdout is not None
        address = app.stdout.readline().strip().removeprefix(gatehouse.url)

        back = sent_back(browser, browser.get(address))
        printed, _errors = app.communicate(f"{back}\n", timeout=60)

        assert app.returncode == 0
        assert json.loads(printed) == {
            "claims": ["olga@example.com", ["owner"], ["pwd"]],
            "about": "olga@example.com",
            "isNew": True,
            "end": "/openid/end-session",
            "afterwards": "OAUTH_WWW_AUTHENTICATE_CHALLENGE",
        }


def _redirected(_browser: HTTPClient, answer: Answer) -> str:
    assert answer.status == 303, answer.text
    return answer.headers["location"]


def _allowed(browser: HTTPClient, page: Answer) -> str:
    """Where the browser goes after the page of consent."""
    assert "it registered itself" in page.text
    fields = {name: read(page.body).input(name)["value"] for name in ("request", "account")}
    answer = browser.post("/openid/consent", {**fields, "choice": "allow"})
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert found is not None, answer.text
    return html.unescape(found[1])
