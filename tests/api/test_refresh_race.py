"""32 clients over two server processes use one token, or need the first key, at the same moment."""

import json
from collections.abc import Callable
from http.cookies import SimpleCookie

import pytest

from devtools.servers.client import Answer
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.servers.race import RaceRequest, Racers

pytestmark = pytest.mark.race
ROUNDS, CLIENTS = 20, 32
COOKIE = "gatehouse_refresh"
REFRESH = "/api/v1/auth/token/refresh"
KEYS = "/.well-known/jwks.json"
# Signs ROUNDS people in; prints their refresh tokens.
SIGN_IN = f"""
from django.utils import timezone
from accounts.models import User
from api.tokens.refresh_tokens import start_by_password
result = []
for number in range({ROUNDS}):
    user = User.objects.create(email=f"person{{number:02}}@example.com")
    result.append(start_by_password(user, timezone.now()).refresh)
"""
# For each person: generation, ended families, reuses in the audit log, mails; and the keys.
COUNT = """
from audit import audit_log
from audit.models import AuditEvent
from mail.models import OutboxMail
from accounts.models import User
from api.models import SigningKey, TokenFamily
assert audit_log.verify().broken_at is None
result = {
    "families": [
        [
            family.generation,
            family.end_reason,
            AuditEvent.objects.filter(target_id=family.user_id, action="api:token:reuse").count(),
            OutboxMail.objects.filter(user=family.user).count(),
        ]
        for family in TokenFamily.objects.order_by("user__email")
    ],
    "keys": SigningKey.objects.count(),
}
"""
# As if all families had been refreshed twice, some time ago.
AGE = """
from datetime import timedelta
from django.utils import timezone
from api.models import TokenFamily
result = TokenFamily.objects.update(
    generation=2, rotated_at=timezone.now() - timedelta(minutes=1)
)
"""


def refreshes(gatehouse: Gatehouse, token: str) -> list[RaceRequest]:
    headers = {"Content-Type": "application/json"}
    return [
        RaceRequest(
            gatehouse.urls[place % len(gatehouse.urls)],
            "POST",
            REFRESH,
            None,
            {COOKIE: token},
            headers,
        )
        for place in range(CLIENTS)
    ]


def successor(answer: Answer) -> str:
    assert answer.status == 200, answer.text
    (line,) = [line for line in answer.set_cookies if line.startswith(COOKIE)]
    return SimpleCookie(line)[COOKIE].value


def test_32_refreshes_of_one_token_have_one_successor_and_end_no_sign_in(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    tokens = any_data.shell(SIGN_IN, PUBLIC_URL=gatehouse.url)

    for number, token in enumerate(tokens):
        answers = racers.run(refreshes(gatehouse, token))

        successors = {successor(answer) for answer in answers}
        assert len(successors) == 1, f"round {number}"
        assert successors != {token}
        for answer in (answers[0], answers[-1]):
            access = json.loads(answer.body)["access"]
            me = gatehouse.client(number % len(gatehouse.urls)).get(
                "/api/v1/me", {"Authorization": f"Bearer {access}"}
            )
            assert me.status == 200
        again = racers.run(refreshes(gatehouse, successors.pop())[:2])
        assert successor(again[0]) == successor(again[1])

    assert any_data.shell(COUNT) == {"families": [[2, "", 0, 0]] * ROUNDS, "keys": 1}


def test_a_used_token_sent_32_times_ends_its_family_once(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    tokens = any_data.shell(SIGN_IN, PUBLIC_URL=gatehouse.url)[:5]
    any_data.shell(AGE)

    for token in tokens:
        answers = racers.run(refreshes(gatehouse, token))
        codes = {(answer.status, json.loads(answer.body)["code"]) for answer in answers}
        assert codes == {(401, "token_invalid")}

    counted = any_data.shell(COUNT)["families"]
    assert counted[:5] == [[2, "reused", 1, 1]] * 5
    assert counted[5:] == [[2, "", 0, 0]] * (ROUNDS - 5)


def test_lost_answers_and_their_successor_at_once_never_fork(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    """Half of the clients ask for a lost answer again while the others use it."""
    gatehouse = racing_instance(any_data)
    tokens = any_data.shell(SIGN_IN, PUBLIC_URL=gatehouse.url)

    for number, first in enumerate(tokens):
        second = successor(racers.run(refreshes(gatehouse, first)[:1])[0])
        mixed = [
            refreshes(gatehouse, first if place % 2 else second)[place] for place in range(CLIENTS)
        ]
        answers = racers.run(mixed)

        given = {successor(answer) for answer in answers if answer.status == 200}
        refused = [json.loads(answer.body)["code"] for answer in answers if answer.status != 200]
        assert len(given - {second}) <= 1, f"round {number}"
        assert first not in given
        assert set(refused) <= {"token_invalid"}
        (generation, reason, reuses, mails) = any_data.shell(COUNT)["families"][number]
        assert generation == 2
        ended = ("reused", 1, 1) if refused else ("", 0, 0)
        assert (reason, reuses, mails) == ended, f"round {number}"


def test_32_concurrent_clients_create_one_first_key(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    answers = racers.run(
        [
            RaceRequest(gatehouse.urls[place % len(gatehouse.urls)], "GET", KEYS)
            for place in range(CLIENTS)
        ]
    )

    assert {answer.status for answer in answers} == {200}
    (body,) = {answer.body for answer in answers}
    assert len(json.loads(body)["keys"]) == 1
    assert any_data.shell(COUNT)["keys"] == 1
