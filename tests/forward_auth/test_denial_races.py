"""A rule or user is deleted while a denial that names them is written."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.processes import wait_for
from tests.forward_auth.driver import Driver

REFUSED = """
from forward_auth.models import Denial
from forward_auth.services.denials import write_denials
AccessRule.objects.all().delete()
User.objects.all().delete()
rule = AccessRule.objects.create(name="shut", effect="deny")
user = person("erin")
client = Client(headers=offer(user, "key"))
said = client.get("/auth/forward", HTTP_X_FORWARDED_PROTO="https", HTTP_X_FORWARDED_URI="/board",
                  HTTP_X_FORWARDED_HOST="app.example.com", HTTP_X_FORWARDED_METHOD="GET")
result = [said.status_code, str(rule.pk), str(user.pk)]
"""
CACHED_RESULT = """
from accounts.actors import SYSTEM
from accounts.services.users import delete_user
from forward_auth.services.rules import delete_rule
rule, user = AccessRule.objects.get(), User.objects.get(username="erin")
"""
NAMED = """
result = list(Denial.objects.values_list("rule_id", "user_id"))
Denial.objects.all().delete()
"""
HERE = {"PUBLIC_URL": "http://testserver"}
BEGIN = "held = transaction.atomic(); held.__enter__()"
COMMIT = "held.__exit__(None, None, None)"
ACTIONS = {
    "rule": "delete_rule(actor=SYSTEM, rule=rule)",
    "person": "delete_user(actor=SYSTEM, user=user)",
}


def test_rule_or_user_deleted_while_a_denial_is_written(
    postgres_data: InstanceData, postgres_server: PostgresServer
) -> None:
    with Driver(postgres_data, **HERE) as writer, Driver(postgres_data, **HERE) as deleter:
        for what, is_written_first in product(ACTIONS, (True, False)):
            status, rule, user = writer(REFUSED)
            deleter(CACHED_RESULT)
            sides = [(writer, "write_denials()"), (deleter, ACTIONS[what])]
            (early, its_act), (late, other_act) = sides if is_written_first else sides[::-1]
            early(f"{BEGIN}; {its_act}")
            with ThreadPoolExecutor(1) as pool:
                rest = pool.submit(late, other_act)
                assert wait_for(lambda rest=rest: rest.done() or postgres_server.is_waited())
                early(COMMIT)
                rest.result()

            assert status == 403
            assert writer(NAMED) == [[None, user] if what == "rule" else [rule, None]]
