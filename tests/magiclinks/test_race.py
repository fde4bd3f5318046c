"""32 clients over two server processes redeem one link at once: one winner; and kill -9 midway."""

from collections.abc import Callable
from threading import Thread

import pytest

from devtools.servers.client import Answer
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from tests.servers.race import RaceRequest, Racers

pytestmark = pytest.mark.race
ROUNDS, CLIENTS = 50, 32
BROWSER = "a-browser-that-asked-for-every-link-of-this-test"
# Mints one link for each of ROUNDS people, bound to the browser above; prints their paths.
MINT = f"""
from datetime import timedelta
from django.db import transaction
from accounts.sessions.link_binding import PURPOSE
from accounts.models import User
from core.crypto.tokens import digest
from magiclinks.services import _build_link, _url, _save_links
result = []
with transaction.atomic():
    for number in range({ROUNDS}):
        user = User.objects.create(email=f"person{{number:02}}@example.com")
        link, token = _build_link(user, actor=None, source="request", lifetime=timedelta(hours=1),
                             binding=digest(PURPOSE, "{BROWSER}"))
        _save_links([link], [])
        result.append("/magic-link/" + token)
"""
# For each person: links used, sessions, redemptions and sign-ins in the audit log.
COUNT = """
from audit import audit_log
from audit.models import AuditEvent
from accounts.models import BrowserSession, User
from magiclinks.models import LoginLink
assert audit_log.verify().broken_at is None
def events(user, action):
    return AuditEvent.objects.filter(target_id=user.pk, action=action, result="success").count()
result = [
    [
        LoginLink.objects.filter(user=user, used_at__isnull=False).count(),
        user.sessions.count(),
        events(user, "link:login:redeem"),
        events(user, "account:session:start"),
    ]
    for user in User.objects.filter(email__startswith="person").order_by("email")
]
"""
IN = (302, "/account/")
LATE = (303, "/sign-in?notice=link-used")


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.headers.get("location", "")


def requests_for(gatehouse: Gatehouse, number: int, path: str) -> list[RaceRequest]:
    """Every other round the browser that asked follows the link, else many press the button."""
    if number % 2:
        cookies = {"gatehouse_browser": BROWSER}
        return [
            RaceRequest(gatehouse.urls[place % len(gatehouse.urls)], "GET", path, None, cookies)
            for place in range(CLIENTS)
        ]
    token = "c" * 32
    return [
        RaceRequest(
            gatehouse.urls[place % len(gatehouse.urls)],
            "POST",
            path,
            {"csrfmiddlewaretoken": token},
            {"gatehouse_csrf": token},
        )
        for place in range(CLIENTS)
    ]


def test_a001_of_32_clients_at_several_processes_exactly_one_signs_in(
    any_data: InstanceData, racing_instance: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    paths = any_data.shell(MINT)

    for number, path in enumerate(paths):
        answers = racers.run(requests_for(gatehouse, number, path))

        outcomes = sorted(outcome(answer) for answer in answers)
        assert outcomes == [IN] + [LATE] * (CLIENTS - 1), f"round {number}"
        cookies = [a for a in answers if any("gatehouse_session=" in c for c in a.set_cookies)]
        assert [outcome(answer) for answer in cookies] == [IN]

    assert any_data.shell(COUNT) == [[1, 1, 1, 1]] * ROUNDS


def test_a_killed_server_redeems_a_link_completely_or_not_at_all(
    any_data: InstanceData, gatehouse_server: Callable[..., Gatehouse], racers: Racers
) -> None:
    gatehouse = gatehouse_server(any_data)
    paths = any_data.shell(MINT)[:CLIENTS]
    cookies = {"gatehouse_browser": BROWSER}
    crowd = Thread(
        target=racers.run,
        args=([RaceRequest(gatehouse.url, "GET", path, None, cookies) for path in paths],),
    )

    crowd.start()
    assert wait_for(lambda: "magic-link/<" in gatehouse.output())
    gatehouse.processes[0].kill()
    crowd.join()

    after_kill = any_data.shell(COUNT)[:CLIENTS]
    assert all(counts in ([0, 0, 0, 0], [1, 1, 1, 1]) for counts in after_kill)
    again = gatehouse_server(any_data)
    for path, counts in zip(paths, after_kill, strict=True):
        client = again.client()
        client.cookies.update(cookies)
        assert outcome(client.get(path)) == (LATE if counts[0] else IN)
    assert any_data.shell(COUNT)[:CLIENTS] == [[1, 1, 1, 1]] * CLIENTS
