"""A driver with the names that tests of checks and attacks need."""

from devtools.servers.databases import InstanceData
from devtools.servers.driver import Driver as PlainDriver

PREPARE = """
from datetime import timedelta
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from accounts.models import BrowserSession, Group, Membership, User
from api.models import ApiKey, TokenFamily
from api.tokens import refresh_tokens
from moderation.models import Ban
from forward_auth.models import AccessRule
from tests.api.keys import made
now = timezone.now
def person(name, role="editor"):
    return User.objects.create(email=f"{name}@example.com", username=name, role=role,
                               email_verified_at=now())
def offer(user, kind):
    if kind == "key":
        text = made(user).text
        ApiKey.objects.filter(user=user).update(scopes=["read", "write"])
        return {"X-API-Key": text}
    if kind == "token":
        return {"Authorization": f"Bearer {refresh_tokens.start_by_password(user, now()).access}"}
    client = Client()
    client.force_login(user)
    return {"Cookie": f"gatehouse_session={client.session.session_key}"}
"""


class Driver(PlainDriver):
    """Knows person(name, role) and offer(user, "key" | "token" | "session")."""

    def __init__(self, data: InstanceData, **environment: str) -> None:
        super().__init__(data, **environment)
        self(PREPARE)
