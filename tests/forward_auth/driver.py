"""A process of its own over an instance's data that does what it is told, at once."""

import json
from typing import Any

from tests.servers.databases import InstanceData, starter
from tests.servers.quick import QuickPipes

LOOP = """
import json, sys
import django
django.setup()
from django.db import connection
names = {}
for line in sys.stdin:
    names["result"] = None
    if connection.connection is not None and not connection.is_usable():
        connection.close()  # a test has restarted the database
    try:
        exec(json.loads(line), names)
        said = {"result": names["result"]}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print("\\x1e" + json.dumps(said, default=str), flush=True)
"""
PREPARE = """
from datetime import timedelta
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from accounts.models import BrowserSession, User
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


class Driver(QuickPipes):
    """drive(code) runs it; what it leaves in `result` comes back. Names stay from call to call."""

    def __init__(self, data: InstanceData, **environment: str) -> None:
        own = data.environment(**environment)
        super().__init__(LOOP, environment=own, start=starter(own))
        self(PREPARE)

    def __call__(self, code: str) -> Any:
        self.say(json.dumps(code))
        for line in self.stdout:
            if line.startswith("\x1e"):
                said = json.loads(line[1:])
                assert "error" not in said, said["error"]
                return said["result"]
        raise RuntimeError(f"the driver has ended:\n{self.errors()[-3000:]}")
