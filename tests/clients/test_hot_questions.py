"""A server that has just answered a question gives another answer as soon as anything changes."""

from tests.clients.conftest import Live

# Asks four times, so that the last answers are remembered ones; changes something; asks again.
# Another process than the server makes the changes, each with its own user, key, app and secret.
ASK_AND_CHANGE = """
import base64, http.client, json
from accounts.actors import SYSTEM
from accounts.models import User
from api.apikeys.services import KeyRequest, create_key
from api.models import ApiKey
from applications.models import App, AppSecret
from applications.services import apps, secrets
from django.conf import settings
from django.utils import timezone
from moderation.models import Ban
from urllib.parse import urlsplit

connection = http.client.HTTPConnection(urlsplit(ADDRESS).netloc, timeout=20)

class Case:
    def __init__(self, name):
        self.user = User(email=f"{name}@example.com", role="editor",
                         email_verified_at=timezone.now())
        self.user.set_password(None)
        self.user.save()
        app = App(name=name, url=f"https://{name}.example.com")
        self.app = apps.create_app(actor=SYSTEM, app=app)
        self.secret = secrets.create_secret(actor=SYSTEM, app=self.app).text
        key_request = KeyRequest(name="k", scopes=["read"])
        self.key = create_key(actor=self.user, user=self.user, key_request=key_request).text
        self.users = User.objects.filter(pk=self.user.pk)
        self.keys = ApiKey.objects.filter(user=self.user)
        self.secrets = AppSecret.objects.filter(app=self.app)

    def ask(self):
        pair = base64.b64encode(f"{self.app.client_id}:{self.secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}",
                   "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/api/v1/introspect", f"token={self.key}", headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return [answer.status, body.get("code") or body["active"], body.get("role")]

CHANGES = {
    "nothing": lambda case: None,
    "secret-revoked": lambda case: case.secrets.update(revoked_at=timezone.now()),
    "secret-expired": lambda case: case.secrets.update(expires_at=timezone.now()),
    "app-deleted": lambda case: apps.delete_app(actor=SYSTEM, app=case.app),
    "banned": lambda case: Ban.objects.create(user=case.user, kind="manual"),
    "disabled": lambda case: case.users.update(is_active=False),
    "other-role": lambda case: case.users.update(role="viewer"),
    "no-role": lambda case: case.users.update(role="none"),
    "user-expired": lambda case: case.users.update(expires_at=timezone.now()),
    "key-revoked": lambda case: case.keys.update(revoked_at=timezone.now()),
    "key-expired": lambda case: case.keys.update(expires_at=timezone.now()),
    "key-deleted": lambda case: case.keys.delete(),
}
cases = {name: Case(name) for name in CHANGES}
result = {}
for name, change in CHANGES.items():
    before = [cases[name].ask() for again in range(4)]
    change(cases[name])
    result[name] = [*before, cases[name].ask()]
"""
ACTIVE, INACTIVE = [200, True, "editor"], [200, False, None]
NO_CLIENT = [401, "invalid_client", None]


def test_each_change_counts_at_the_next_question(live: Live) -> None:
    found = live.data.shell(f"ADDRESS = {live.url!r}\n{ASK_AND_CHANGE}")

    assert {name: answers[:4] for name, answers in found.items()} == dict.fromkeys(
        found, [ACTIVE] * 4
    )
    assert {name: answers[4] for name, answers in found.items()} == {
        "nothing": ACTIVE,
        "secret-revoked": NO_CLIENT,
        "secret-expired": NO_CLIENT,
        "app-deleted": NO_CLIENT,
        "banned": INACTIVE,
        "disabled": INACTIVE,
        "other-role": [200, True, "viewer"],
        "no-role": INACTIVE,
        "user-expired": INACTIVE,
        "key-revoked": INACTIVE,
        "key-expired": INACTIVE,
        "key-deleted": INACTIVE,
    }
