"""All credentials of a user, and which of them are accepted now."""

import json
import urllib.request
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.parse import urlsplit

from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse

PASSWORD = "seven green bottles on a wall"
EMAIL = "anna@example.com"
USER = f"""
from django.utils import timezone
from accounts.models import User
user = User(email="{EMAIL}", role="owner", email_verified_at=timezone.now())
user.set_password("{PASSWORD}")
user.save()
result = None
"""
# As the services do it, for everything that there is.
REVOKE = """
from django.utils import timezone
from accounts.models import BrowserSession
from api.models import ApiKey, TokenFamily
from magiclinks.models import LoginLink
now = timezone.now()
BrowserSession.objects.all().delete()
ApiKey.objects.update(revoked_at=now, expires_at=now)
TokenFamily.objects.update(ended_at=now, end_reason="signed-out")
LoginLink.objects.update(used_at=now)
result = None
"""
SIGN_IN_METHODS = ("session", "key", "access", "refresh", "link")


@dataclass(frozen=True, slots=True)
class Bunch:
    """One of each kind, of one person."""

    cookies: dict[str, str]
    key: str
    access: str
    refresh: str
    link: str


def call(url: str, body: object = None, **headers: str) -> tuple[int, dict[str, object]]:
    """Status and JSON of a call of the API; names of headers with _ for -."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as problem:
        with problem:
            return problem.code, json.loads(problem.read() or b"{}")


def gather(instance: Gatehouse, data: InstanceData) -> Bunch:
    """Get one of each; the session signs in through the page."""
    browser = instance.client()
    browser.get("/sign-in")
    assert browser.post("/sign-in", {"login": EMAIL, "password": PASSWORD}).status == 302
    status, tokens = call(
        f"{instance.url}/api/v1/auth/token", {"email": EMAIL, "password": PASSWORD}
    )
    assert status == 200
    public = {"PUBLIC_URL": instance.url}
    key = data.manage("apikey", "create", EMAIL, "script", "--scope", "read", **public)
    link = data.manage("magiclink", EMAIL, **public)
    assert (key.returncode, link.returncode) == (0, 0), key.stderr + link.stderr
    return Bunch(
        cookies=browser.cookies,
        key=key.stdout.strip(),
        access=str(tokens["access"]),
        refresh=str(tokens["refresh"]),
        link=urlsplit(next(word for word in link.stdout.split() if "://" in word)).path,
    )


def opened(instance: Gatehouse, bunch: Bunch) -> list[str]:
    """The kinds that are accepted; this uses up the refresh token."""
    me = f"{instance.url}/api/v1/me"
    status = {
        "session": HTTPClient(instance.url, bunch.cookies).get("/account/").status,
        "key": call(me, X_API_Key=bunch.key)[0],
        "access": call(me, Authorization=f"Bearer {bunch.access}")[0],
        "refresh": call(f"{instance.url}/api/v1/auth/token/refresh", {"refresh": bunch.refresh})[0],
        "link": instance.client().get(bunch.link).status,
    }
    return [kind for kind in SIGN_IN_METHODS if status[kind] == 200]


def can_sign_in(instance: Gatehouse) -> bool:
    """By password, as always."""
    browser = instance.client()
    browser.get("/sign-in")
    return browser.post("/sign-in", {"login": EMAIL, "password": PASSWORD}).status == 302
