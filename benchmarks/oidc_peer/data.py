"""What both are measured with: one app with a secret, people who are signed in and have allowed it.

The same scopes, lifetimes, algorithm and PKCE on both sides; see node/provider.mjs.
"""

import base64
import hashlib
import http.client
from urllib.parse import urlencode, urlsplit

from benchmarks.servers import email_of
from devtools.servers.databases import InstanceData

CALLBACK = "https://wiki.example.com/callback"
VERIFIER = "v" * 43
SCOPE = "openid profile email"
PEOPLE = 8
REDIRECTS = (302, 303)
# The cookies of each person's browser, and the credentials of the app.
FILL = f"""
from django.test import Client
from django.utils import timezone
from accounts.actors import SYSTEM
from accounts.models import User
from applications.models import App
from applications.services.secrets import create_secret
from benchmarks.servers import PASSWORD, email_of
from oidc_provider.models import Consent
app = App.objects.create(
    name="Wiki", slug="wiki", url="https://wiki.example.com", host="wiki.example.com",
    openid_kind="web", redirect_uris=["{CALLBACK}"],
)
cookies = []
for number in range({PEOPLE}):
    user = User.objects.get(email=email_of(number))
    browser = Client(headers={{"host": "localhost:8000"}})
    answer = browser.post("/sign-in", {{"login": user.email, "password": PASSWORD}})
    assert answer.status_code == 302, answer.content
    Consent.objects.create(user=user, app=app, scope="{SCOPE}", given_at=timezone.now())
    found = browser.cookies.items()
    cookies.append("; ".join(f"{{name}}={{cookie.value}}" for name, cookie in found))
secret = create_secret(actor=SYSTEM, app=app).text
result = {{"client_id": app.client_id, "secret": secret, "cookies": cookies}}
"""


def query_of(client_id: str, **more: str) -> str:
    """The parameters of an authorization request."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    given = {
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": SCOPE,
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": challenge.rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **more,
    }
    return urlencode(given)


def fill(data: InstanceData) -> tuple[str, str, list[str]]:
    """(client id, secret, cookies of each browser) of Gatehouse."""
    found = data.shell(FILL)
    return found["client_id"], found["secret"], found["cookies"]


def sign_in_to_peer(port: int, client_id: str, number: int) -> str:
    """The cookies of a browser in which a person has signed in and allowed the app."""
    path = f"/auth?{query_of(client_id, login_hint=email_of(number).partition('@')[0])}"
    cookies: dict[str, str] = {}
    for _step in range(6):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        line = "; ".join(f"{name}={value}" for name, value in cookies.items())
        connection.request("GET", path, headers={"Cookie": line} if line else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status not in REDIRECTS:
            raise RuntimeError(f"{path}: answered {answer.status}")
        for each in answer.headers.get_all("Set-Cookie") or ():
            name, _equals, value = each.partition(";")[0].partition("=")
            cookies[name] = value
        target = answer.headers["Location"]
        if target.startswith(CALLBACK):
            kept = [name for name in cookies if name.startswith("_session")]
            return "; ".join(f"{name}={cookies[name]}" for name in kept)
        parts = urlsplit(target)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    raise RuntimeError("the peer sends the browser round in circles")
