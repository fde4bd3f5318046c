"""32 clients over two or three server processes redeem one code at the same moment."""

import json
from collections.abc import Callable

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.servers.race import RaceRequest, Racers

pytestmark = pytest.mark.race
ROUNDS, CLIENTS = 5, 32
CALLBACK = "https://wiki.example.com/callback"
# One user with a session, an app without a secret, and ROUNDS codes; prints both.
MAKE_CODES = f"""
import uuid
from datetime import timedelta
from django.utils import timezone
from accounts.models import BrowserSession, User
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.parameters import read_request
from oidc_provider.services.codes import issue_code
from tests.oidc_provider.relying_party import CHALLENGE, make_client
now = timezone.now()
user = User.objects.create(email="anna@example.com", role="viewer", email_verified_at=now)
session = BrowserSession.objects.create(
    session_key="x", user=user, expire_date=now + timedelta(hours=1), public_id=uuid.uuid4()
)
app = make_client()
asked = read_request(
    {{"response_type": "code", "scope": "openid", "code_challenge": CHALLENGE.decode(),
      "code_challenge_method": "S256"}},
    is_public=True,
)
done = SessionAuthentication(session.public_id, now, ["pwd"], False)
codes = [
    issue_code(app=app, user=user, redirect_uri="{CALLBACK}", asked=asked, authentication=done,
               remember=False)
    for _number in range({ROUNDS})
]
result = {{"client_id": app.client_id, "codes": codes}}
"""
COUNT = """
from audit import audit_log
from audit.models import AuditEvent
from oidc_provider.models import Grant
assert audit_log.verify().broken_at is None
result = {
    "grants": [grant.end_reason for grant in Grant.objects.all()],
    "reuses": AuditEvent.objects.filter(action="openid:grant:reuse").count(),
}
"""


def test_one_code_gives_tokens_once_and_every_other_redemption_ends_them(
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

    assert any_data.shell(COUNT) == {"grants": ["reused"] * ROUNDS, "reuses": ROUNDS}
