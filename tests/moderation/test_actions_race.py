"""Counted actions from several processes at once: exact, on each database."""

import json
from contextlib import ExitStack

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.quick import QuickPipes, warmed

pytestmark = pytest.mark.race
PROCESSES, THREADS = 4, 8
TRIES = PROCESSES * THREADS
MAKE_USERS = """
from accounts.models import User
User.objects.filter(role="owner").delete()
for name in ("owner", "viewer"):
    User.objects.create(email=f"{name}@example.com", role=name)
"""
# Says that it is ready, waits for the word, lets all its threads go, prints what became of them.
CROWD = f"""
import sys, threading, json
import django
django.setup()
from django.db import connections
from accounts.models import User
from moderation.services.actions import *
act, with_user = sys.argv[1], sys.argv[2] == "user"
owner, viewer = (User.objects.get(email=f"{{name}}@example.com") for name in ("owner", "viewer"))
user = viewer if with_user else None
subject = ActionSubject(user=user, network="203.0.113.7", reported_by=owner)
results, barrier = [], threading.Barrier({THREADS} + 1)
def one():
    barrier.wait()
    try:
        globals()[act](sys.argv[3], subject)
        results.append("admitted")
    except LimitExceeded:
        results.append("refused")
    finally:
        connections.close_all()
threads = [threading.Thread(target=one) for _ in range({THREADS})]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
barrier.wait()
for thread in threads:
    thread.join()
print(json.dumps(results), flush=True)
"""
VIOLATIONS = """
from moderation.models import Ban, Violation
result = [Violation.objects.count(), sum(v.score for v in Violation.objects.all()),
          Ban.objects.count()]
"""


def burst(data: InstanceData, act: str, whom: str, action: str, **environment: str) -> list[str]:
    """What TRIES calls of `act` at the same moment led to, sorted."""
    given = data.environment(**environment)
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(
                QuickPipes(CROWD, act, whom, action, environment=given, start=warmed)
            )
            for _ in range(PROCESSES)
        ]
        for process in crowd:
            assert process.stdout.readline() == "ready\n"
        for process in crowd:
            process.say("go")
        return sorted(
            outcome for process in crowd for outcome in json.loads(process.stdout.readline())
        )


def expected(admitted: int) -> list[str]:
    return ["admitted"] * admitted + ["refused"] * (TRIES - admitted)


def test_a_burst_gets_exactly_the_limit(any_data: InstanceData) -> None:
    any_data.shell(MAKE_USERS)

    outcomes = burst(any_data, "count_action", "user", "message", MESSAGE_IP_MAX="10")

    assert outcomes == expected(10)
    # 22 were refused and scored; the total crosses 20 once.
    assert any_data.shell(VIOLATIONS) == [22, 22, 1]


def test_a_burst_of_anonymous_clients_gets_exactly_the_limit(any_data: InstanceData) -> None:
    any_data.shell(MAKE_USERS)
    limits = {"ACTION_LIMITS": "image:ip=7/1h", "BAN_VIOLATIONS": "false"}

    assert burst(any_data, "count_action", "nobody", "image", **limits) == expected(7)
    assert any_data.shell(VIOLATIONS) == [25, 25, 0]


def test_concurrent_actions_get_exactly_the_limit(any_data: InstanceData) -> None:
    any_data.shell(MAKE_USERS)
    limits = {"CONCURRENT_MESSAGE_MAX": "3", "LIMIT_MESSAGE_IP": "false"}

    assert burst(any_data, "start_action", "user", "message", **limits) == expected(3)
