"""scim2-tester, which checks SCIM servers against the standard, finds no fault in a running one."""

from collections.abc import Callable

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse

KEY = """
from django.utils import timezone
from accounts.models import User
from tests.scim.client import service_client
owner = User(email="owner@example.com", role="owner", email_verified_at=timezone.now())
owner.save(force_insert=True)
result = service_client(owner)[1].key
"""
# docs/scim.md says that it is not supported.
SKIPPED = "POST /.search: searching several resource types at once is not supported by the server"


def test_a_checker_of_servers_finds_no_fault(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    key = sqlite_data.shell(KEY)
    gatehouse = gatehouse_server(sqlite_data)
    headers = {"Authorization": f"Bearer {key}"}
    with Client(base_url=f"{gatehouse.url}/scim/v2", headers=headers) as http:
        results = check_server(SyncSCIMClient(http))

    faults = [
        f"{each.resource_type} {each.title}: {each.reason}"
        for each in results
        if each.status is not Status.SUCCESS and each.reason != SKIPPED
    ]
    assert faults == []
    checked = {each.title for each in results if each.resource_type == "Group"}
    assert {"object_replacement", "object_deletion", "check_add_attribute",
            "check_remove_attribute", "check_replace_attribute"} <= checked  # fmt: skip
