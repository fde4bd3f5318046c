"""openid-client, which most apps in Node use, signs a person in, refreshes and revokes."""

import json
import subprocess
from collections.abc import Callable

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import program
from tests.servers.node import NODE_FOLDER

# An owner in whose browser a session has begun, and an app with a secret.
PREPARE = """
from django.test import Client
from django.utils import timezone
from accounts.models import User
from applications.services.secrets import create_secret
from tests.oidc_provider.relying_party import make_client
owner = User(email="olga@example.com", role="owner", email_verified_at=timezone.now())
owner.set_password("seven quiet rivers under glass")
owner.save(force_insert=True)
browser = Client()
login = {"login": "olga@example.com", "password": "seven quiet rivers under glass"}
assert browser.post("/sign-in", login, headers={"host": "localhost:8000"}).status_code == 302
app = make_client("web")
result = {
    "cookies": {name: cookie.value for name, cookie in browser.cookies.items()},
    "client": [app.client_id, create_secret(actor=owner, app=app).text],
}
"""


def test_openid_client_accepts_every_answer(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    """Discovery, `iss`, nonce, max_age with auth_time, signature, at_hash, userinfo, revocation."""
    made = sqlite_data.shell(PREPARE)
    gatehouse = gatehouse_server(sqlite_data)
    command = [program("node"), str(NODE_FOLDER / "relying_party.mjs"), gatehouse.url]
    app = subprocess.Popen(
        [*command, *made["client"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert app.stdin is not None
    assert app.stdout is not None
    address = app.stdout.readline().strip().removeprefix(gatehouse.url)

    answer = HTTPClient(gatehouse.url, made["cookies"]).get(address)
    assert answer.status == 303, answer.text
    printed, _errors = app.communicate(f"{answer.headers['location']}\n", timeout=60)

    assert app.returncode == 0
    assert json.loads(printed) == {
        "claims": ["olga@example.com", ["owner"], ["pwd"]],
        "about": "olga@example.com",
        "isNew": True,
        "end": "/openid/end-session",
        "afterwards": "OAUTH_WWW_AUTHENTICATE_CHALLENGE",
    }
