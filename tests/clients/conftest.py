"""A running Gatehouse for the tests of clients, and credentials of it."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse as Server

PASSWORD = "seven quiet rivers under glass"
SEED = f"""
from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from api.apikeys.services import KeyRequest, create_key
from applications.models import App
from applications.services import apps, secrets
from django.utils import timezone
user = User(email="edith@example.com", name="Édith", role="editor",
            email_verified_at=timezone.now())
user.set_password("{PASSWORD}")
user.save()
Membership.objects.create(user=user, group=Group.objects.create(name="finance"))
other = User(email="vera@example.com", role="viewer", email_verified_at=timezone.now())
other.set_password(None)
other.save()
app = apps.create_app(actor=SYSTEM, app=App(name="Wiki", url="https://wiki.example.com"))
def key(of, **more):
    return create_key(actor=of, user=of, key_request=KeyRequest(name="k", **more)).text
result = {{
    "client_id": app.client_id,
    "client_secret": secrets.create_secret(actor=SYSTEM, app=app).text,
    "user_id": str(user.pk),
    "key": key(user, scopes=["read", "write"]),
    "reading_key": key(user),
    "key_to_revoke": key(user),
    "key_of_network": key(user, networks=["203.0.113.0/24"]),
    "key_of_viewer": key(other),
}}
"""


@dataclass(frozen=True)
class Live:
    """url: of the server. names: client id and secret, the id of Edith, and credentials."""

    data: InstanceData
    url: str
    names: dict[str, str]

    @property
    def app(self) -> dict[str, str]:
        """The arguments of Gatehouse."""
        return {name: self.names[name] for name in ("client_id", "client_secret")} | {
            "url": self.url
        }


@pytest.fixture(scope="package")
def live(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data: InstanceData = data_templates.fresh("sqlite", tmp_path_factory.mktemp("live"))
    names = data.shell(SEED)
    server = Server(data, data.data_dir, 1, {})
    credentials = {"email": "edith@example.com", "password": PASSWORD}
    pair = _post(server.url, "/api/v1/auth/token", credentials)
    session = data.shell("""
from django.test import Client
from accounts.models import User
client = Client()
client.force_login(User.objects.get(email="edith@example.com"))
result = client.session.session_key
""")
    yield Live(data, server.url, {**names, "token": pair["access"], "session": session})
    server.stop()


def _post(url: str, path: str, body: dict[str, str]) -> Any:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content
    return json.loads(content)
