"""An account is deleted while its user signs in."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.processes import wait_for
from tests.conftest import PASSWORD
from tests.forward_auth.driver import Driver

pytestmark = pytest.mark.race

HERE = {"PUBLIC_URL": "http://testserver"}
ERIN = f"""
erin = person("erin")
erin.set_password({PASSWORD!r})
erin.save()
"""
SIGN_IN = f"""
browser = Client()
said = browser.post("/sign-in", {{"login": "erin", "password": {PASSWORD!r}}})
after = browser.get("/account/")
result = [said.status_code, after.status_code, BrowserSession.objects.exclude(user=None).count()]
"""
DELETE = """
from accounts.actors import SYSTEM
from accounts.services.users import delete_user
held = transaction.atomic()
held.__enter__()
delete_user(actor=SYSTEM, user=User.objects.get(username="erin"))
"""
COMMIT = "held.__exit__(None, None, None)"
LEFT = """
from audit.models import AuditEvent
result = [User.objects.filter(username="erin").count(),
          AuditEvent.objects.filter(action="account:session:start", result="done").count()]
"""


def test_a_user_deleted_while_signing_in_gets_an_error_and_no_session(
    postgres_data: InstanceData, postgres_server: PostgresServer
) -> None:
    with Driver(postgres_data, **HERE) as signer, Driver(postgres_data, **HERE) as deleter:
        signer(ERIN)
        deleter(DELETE)
        with ThreadPoolExecutor(1) as pool:
            said = pool.submit(signer, SIGN_IN)
            assert wait_for(lambda: said.done() or postgres_server.is_waited())
            deleter(COMMIT)

            assert said.result() == [401, 302, 0]
        assert signer(LEFT) == [0, 0]
