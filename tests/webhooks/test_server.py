"""A running server sends webhooks by itself."""

import json
from collections.abc import Callable

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from tests.webhooks.receiver import Receiver

MAKE = """
from accounts.actors import SYSTEM
from accounts.services.users import create_user
from webhooks.services.endpoints import create_endpoint
create_endpoint(actor=SYSTEM, values={{"name": "Chat", "url": {url}}})
create_user(actor=SYSTEM, email="anna@example.com", verified=True)
result = 0
"""


def test_a_running_server_delivers(
    any_data: InstanceData, gatehouse_server: Callable[..., Gatehouse], receiver: Receiver
) -> None:
    opened = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    server = gatehouse_server(any_data, **opened)

    any_data.shell(MAKE.format(url=json.dumps(receiver.url)), **opened)

    assert wait_for(lambda: len(receiver.requests) == 1)
    assert receiver.requests[0].event["data"]["user"]["email"] == "anna@example.com"
    assert "whsec_" not in server.output()
    assert "in-the-path" not in server.output()
