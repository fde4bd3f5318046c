"""32 clients over two or three server processes use one code, request or token at one moment."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.servers.race import RaceRequest, Racers

pytestmark = pytest.mark.race
ROUNDS, PUSHED_ROUNDS, CLIENTS = 4, 2, 32
CALLBACK = "https://wiki.example.com/callback"
# One user with a session, an app without a secret, ROUNDS codes, and PUSHED_ROUNDS requests.
MAKE_CODES = f"""
from datetime import timedelta
from django.test import Client
from django.utils import timezone
from accounts.actors import SYSTEM
from accounts.models import BrowserSession, User
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.parameters import read_request
from oidc_provider.services.codes import issue_code
from oidc_provider.services.pushed_requests import push
from oidc_provider.services.registration import create_token
from tests.oidc_provider.relying_party import CHALLENGE, make_client
now = timezone.now()
user = User(email="anna@example.com", role="viewer", email_verified_at=now)
user.set_password("seven quiet rivers under glass")
user.save(force_insert=True)
browser = Client(headers={{"host": "localhost:8000"}})
login = {{"login": user.email, "password": "seven quiet rivers under glass"}}
assert browser.post("/sign-in", login).status_code == 302
session = BrowserSession.objects.get()
app = make_client()
given = {{"response_type": "code", "scope": "openid", "code_challenge": CHALLENGE.decode(),
         "code_challenge_method": "S256"}}
asked = read_request(given, is_public=True)
requests = [
    push(app, {{**given, "redirect_uri": "{CALLBACK}", "client_id": app.client_id}})
    for _number in range({PUSHED_ROUNDS})
]
done = SessionAuthentication(session.public_id, now, ["pwd"], False)
codes = [
    issue_code(app=app, user=user, redirect_uri="{CALLBACK}", asked=asked, authentication=done,
               remember=False)
    for _number in range({ROUNDS})
]
values = {{"name": "CI", "openid_role": "viewer", "max_uses": 1}}
result = {{
    "token": create_token(actor=SYSTEM, values=values, lifetime=timedelta(hours=1)).text,
    "client_id": app.client_id,
    "codes": codes,
    "requests": requests,
    "cookies": {{name: cookie.value for name, cookie in browser.cookies.items()}},
}}
"""
COUNT = """
from audit import audit_log
from audit.models import AuditEvent
from applications.models import App
from oidc_provider.models import Grant, InitialAccessToken
assert audit_log.verify().broken_at is None
result = {
    "grants": [grant.end_reason for grant in Grant.objects.all()],
    "reuses": AuditEvent.objects.filter(action="openid:grant:reuse").count(),
    "uses": InitialAccessToken.objects.get().uses,
    "registered": App.objects.filter(is_self_registered=True).count(),
    "rows": AuditEvent.objects.filter(action="openid:app:register").count(),
}
"""


def test_a_code_a_pushed_request_and_a_registration_token_work_once_whoever_sends_them(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    made = any_data.shell(MAKE_CODES, PUBLIC_URL=gatehouse.url)

    for number, code in enumerate(made["codes"]):
        form = {
            "grant_type": "authorization_code",
            "client_id": made["client_id"],
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": "v" * 43,
        }
        urls = [gatehouse.urls[place % len(gatehouse.urls)] for place in range(CLIENTS)]
        answers = racers.run([RaceRequest(url, "POST", "/openid/token", form) for url in urls])

        given = [answer for answer in answers if answer.status == 200]
        errors = {json.loads(each.body)["error"] for each in answers if each.status != 200}
        # The winner may find its grant ended before it has made the answer.
        assert len(given) <= 1, f"round {number}"
        assert errors == {"invalid_grant"}
        for answer in given:
            access = json.loads(answer.body)["access_token"]
            told = gatehouse.client(0).get(
                "/openid/userinfo", {"Authorization": f"Bearer {access}"}
            )
            assert told.status == 401

    for uri in made["requests"]:
        brought = urlencode({"client_id": made["client_id"], "request_uri": uri})
        path = f"/openid/authorize?{brought}"
        urls = [gatehouse.urls[place % len(gatehouse.urls)] for place in range(CLIENTS)]
        answers = racers.run(
            [RaceRequest(url, "GET", path, cookies=made["cookies"]) for url in urls]
        )
        assert sorted(answer.status for answer in answers) == [303] + [400] * (CLIENTS - 1)

    headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/json"}
    metadata = json.dumps({"client_name": "Wiki", "redirect_uris": [CALLBACK]})
    urls = [gatehouse.urls[place % len(gatehouse.urls)] for place in range(CLIENTS)]
    sent = [
        RaceRequest(url, "POST", "/openid/register", headers=headers, body=metadata) for url in urls
    ]
    answers = racers.run(sent)
    assert sorted(answer.status for answer in answers) == [201] + [401] * (CLIENTS - 1)

    assert any_data.shell(COUNT) == {
        "grants": ["reused"] * ROUNDS,
        "reuses": ROUNDS,
        "uses": 1,
        "registered": 1,
        "rows": 1,
    }
