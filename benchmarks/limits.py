"""What limits cost, and what stored violations cost each sign-in."""

import sys
from collections.abc import Iterator

from benchmarks.rows import Options, Row, folder
from benchmarks.servers import LIMITS, PASSWORD, make_data, make_users
from devtools.servers.databases import InstanceData

# All in one process, one after the other, without a network: medians in milliseconds.
TIMES = """
import statistics, time
from django.test import Client, RequestFactory
from accounts.rate_limits import check_rate_limit
from accounts.models import User
from moderation.services.actions import ActionSubject, count_action
from moderation.services.violations import record_violation
people = list(User.objects.filter(role="viewer").order_by("email")[:100])
def median(act, times):
    taken = []
    for number in range(times + 20):
        start = time.perf_counter()
        act(number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[20:]) * 1000
request = RequestFactory().post("/sign-in", REMOTE_ADDR="203.0.113.7")
doers = [ActionSubject(user=user, network="203.0.113.7", reported_by=user) for user in people]
def sign_in(number):
    fields = {{"login": people[number % 100].email, "password": {password!r}}}
    assert Client(headers={{"host": "localhost"}}).post("/sign-in", fields).status_code == 302
result = {{
    "try": median(
            lambda number: check_rate_limit(request, "sign-in", people[number % 100].email), 2000
        ),
    "action": median(lambda number: count_action("message", doers[number % 100]), 2000),
    "violation": median(
            lambda number: record_violation(type="x", user=people[number % 100], score=0), 500
        ),
    "sign-in": median(sign_in, 200),
}}
"""
# `count` more violations of the last ninety days, and an ended ban for every thousand of them;
# spread over all people and a thousand networks.
FILL = """
from itertools import cycle
from datetime import timedelta
from django.utils import timezone
from accounts.models import User
from core.uuid7 import uuid7
from benchmarks.copying import analyze, copy
from moderation.models import Ban
from moderation.services.violations import record_violation
people = list(User.objects.filter(role="viewer"))
pattern = record_violation(type="login", user=people[0], network="198.51.100.1", score=0).violation
now, step = timezone.now(), timedelta(days=90) / {count}
copy(pattern, ("id", "at", "user_id", "subject", "network"), (
    (uuid7(), now - step * n, person.pk, f"user:{{person.pk}}", f"198.51.{{n % 4}}.{{n % 250}}")
    for n, person in zip(range({count}), cycle(people))
))
Ban.objects.bulk_create(
    Ban(user=people[n % len(people)], network=f"198.51.{{n % 4}}.{{n % 250}}", kind="automatic",
        created_at=now - timedelta(hours=3), until=now - timedelta(hours=1))
    for n in range({count} // 1000)
)
analyze()
result = None
"""
ENVIRONMENT = {
    **LIMITS,
    "LOGIN_MAX": "100000",
    "LOGIN_WINDOW": "1h",
    "MESSAGE_IP_MAX": "100000",
    "LIMIT_MESSAGE_USER": "true",
    "MESSAGE_USER_MAX": "100000",
}
USERS = 1000
FEW = 1_000
PIECE = 100_000  # of what is stored by one process
# Of a sign-in; and what a million rows may cost over a thousand.
SHARE, FLAT = 0.1, 1.2


def measure_limits(options: Options) -> Iterator[Row]:
    """One check of a limit beside a sign-in, and sign-ins beside ever more violations."""
    with folder() as place:
        data = make_data(place, options.database_url)
        make_users(data, USERS)
        few, many = (_times(data, stored) for stored in (FEW, options.stored))
    for what, name in (("sign-in limit", "try"), ("action limit", "action")):
        yield Row(f"{what}, one check", "ms", few[name], few["sign-in"], 1.0, False)
        yield _bound(f"{what}, beside a sign-in", few[name], few["sign-in"], SHARE)
    for what, name in (("sign-in", "sign-in"), ("a violation", "violation")):
        yield _bound(f"{what}, {options.stored:,} violations", many[name], few[name], FLAT)


def _bound(what: str, value: float, beside: float, aim: float) -> Row:
    return Row(what, "ms", value, beside, aim, more_is_better=False, is_ratio=True)


def _times(data: InstanceData, stored: int) -> dict[str, float]:
    """Medians beside `stored` more violations."""
    for begin in range(0, stored, PIECE):
        count = min(PIECE, stored - begin)
        data.shell(FILL.format(count=count))
        done = f"{begin + count:,} of {stored:,} violations are made"
        print(done, file=sys.stderr, flush=True)
    times: dict[str, float] = data.shell(TIMES.format(password=PASSWORD), **ENVIRONMENT)
    return times
