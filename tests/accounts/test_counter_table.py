"""More clients than the table of counters can hold: it stays bounded, and no limit is lifted."""

from unittest.mock import ANY

import pytest

from devtools.servers.databases import InstanceData

pytestmark = pytest.mark.race

MOST = 1600
FLOOD = f"""
import time
from contextlib import suppress
from datetime import timedelta
from django.conf import settings
from django.core.cache import caches
from django.test import RequestFactory
from core.web.client_groups import Crowd
from core.errors import RateLimited
from accounts.rate_limits import check_rate_limit, may_mail
from core import cache
from core.models import CacheEntry

window = timedelta(minutes=10)
settings.LIMITS |= {{"sign-in": (3, window), "sign-in-client": (6, window),
                    "sign-in-account": (4, window), "recipient": (2, window)}}
store = caches["counters"]
store._max_entries = {MOST}
real = time.time
# In the middle of nothing: no window of django-ratelimit ends meanwhile.
at = real()
time.time = lambda: at
sizes = []
scored = []
from accounts.signals import limit_exceeded
limit_exceeded.connect(lambda **said: scored.append(said["ip"]), weak=False)

def can_sign_in(address, login, cookies=()):
    request = RequestFactory().post("/", REMOTE_ADDR=address)
    request.COOKIES.update(cookies)
    try:
        check_rate_limit(request, "sign-in", login)
    except RateLimited:
        return False
    return True

def flood(addresses):
    for number, address in enumerate(addresses):
        can_sign_in(address, f"name{{address}}@example.com")
        if number % 50 == 0:
            sizes.append(CacheEntry.objects.count())
    sizes.append(CacheEntry.objects.count())

def wide(number):
    return [f"{{20 + n % 200}}.{{n // 200}}.{{n % 250}}.7" for n in range(number)]

def networks_are_full():
    flood([f"20.{{n % 40}}.0.{{n // 40}}" for n in range(150)])
"""


def test_a_flood_keeps_the_counter_table_bounded_and_all_limits_in_force(
    any_data: InstanceData,
) -> None:
    found = any_data.shell(f"""{FLOOD}
guesses = [can_sign_in("203.0.113.1", "victim") for _ in range(4)]
guesses += [can_sign_in("203.0.113.2", "victim"), can_sign_in("203.0.113.3", "victim")]
mails = [may_mail("reset", "victim@example.com") for _ in range(3)]
flood(wide(3000))
after = [can_sign_in(f"203.0.113.{{n}}", "victim") for n in (1, 3, 4)]
later = may_mail("reset", "victim@example.com")
crowd = store.crowd()
passed = [can_sign_in(f"{{30 + n}}.9.9.9", "other") for n in range(40)].count(True)
mailed = [may_mail("reset", "other@example.com") for n in range(9)].count(True)
result = [guesses, mails, after, later, crowd >= Crowd.GROUPS, max(sizes), passed, mailed]
""")
    guesses, mails, after, later, is_full, largest, passed, mailed = found

    assert guesses == [True] * 3 + [False, True, False]
    assert mails == [True, True, False]
    assert after == [False] * 3
    assert later is False
    assert is_full is True
    assert largest <= MOST
    assert passed <= 4
    assert mailed <= 2


def test_a_client_of_a_quiet_network_is_not_limited_for_others(
    any_data: InstanceData,
) -> None:
    found = any_data.shell(f"""{FLOOD}
networks_are_full()
crowd = store.crowd()
scored.clear()
beside = [can_sign_in(f"20.0.0.{{200 + n}}", "honest") for n in range(9)]
quiet = [can_sign_in("198.51.100.9", "honest2") for _ in range(3)]
result = [crowd, beside[-1], quiet, scored]
""")

    assert found == [1, False, [True] * 3, []]


def test_a_shared_counter_keeps_counting_after_the_flood(any_data: InstanceData) -> None:
    found = any_data.shell(f"""{FLOOD}
networks_are_full()
beside = [can_sign_in("20.0.0.200", "honest") for _ in range(9)][-1]
CacheEntry.objects.exclude(cache_key__in=[
    row.cache_key for row in CacheEntry.objects.filter(value__gt="1")]).delete()
at += 2
crowd = store.crowd()
still = can_sign_in("20.0.0.200", "honest")
at += 20_000
purged = cache.purge_expired()
left = CacheEntry.objects.count()
at += 4000
result = [beside, crowd, still, purged > 0, left, can_sign_in("20.0.0.200", "honest")]
""")

    assert found == [False, 0, False, True, 0, True]


def test_a_single_use_action_is_refused_if_it_cannot_be_recorded(
    any_data: InstanceData,
) -> None:
    found = any_data.shell(f"""{FLOOD}
first = [store.add_mark("sign-in-state:a", 60), store.add_mark("sign-in-state:a", 60)]
for number in range({MOST} * 3 // 4):
    store.add(f"x{{number}}", 1, 600)
full = store.add_mark("sign-in-state:b", 60)
at += 601
result = [*first, full, store.add_mark("sign-in-state:b", 60)]
""")

    assert found == [True, False, False, True]


def test_purging_and_counting_at_once_lose_no_count(any_data: InstanceData) -> None:
    found = any_data.shell("""
import multiprocessing, time
from django.core.cache import caches
from django.db import connections
from core import cache

store = caches["counters"]
for number in range(60):
    store.set(f"k{number}", 5, -1)
    store.set(f"old{number}", 5, -1)
connections.close_all()
context = multiprocessing.get_context("fork")
barrier = context.Barrier(5)

def count():
    barrier.wait(60)
    for _ in range(4):
        for number in range(60):
            store.hit(f"k{number}", 600)

def clear():
    barrier.wait(60)
    for _ in range(100):
        cache.purge_batch(7)

running = [context.Process(target=each) for each in (count, count, count, clear, clear)]
for one in running:
    one.start()
for one in running:
    one.join(100)
cache.purge_expired()
result = [[one.exitcode for one in running],
          sorted({store.get(f"k{number}") for number in range(60)}),
          cache.count_entries(1000)]
""")

    assert found == [[0] * 5, [12], 60]


def test_active_counters_stay_and_users_have_their_own(
    any_data: InstanceData,
) -> None:
    """Also by the worker, which purges in the middle of the flood."""
    found = any_data.shell(f"""{FLOOD}
from django.http import HttpResponse
from accounts.sessions import known_devices
from accounts.models import User
from config.worker import Worker

user = User.objects.create(email="known@example.com")
answer = HttpResponse()
known_devices.remember(RequestFactory().get("/"), answer, user)
cookies = {{name: morsel.value for name, morsel in answer.cookies.items()}}
for number in range(40):
    can_sign_in(f"198.51.100.{{number}}", "victim")
before = set(CacheEntry.objects.values_list("cache_key", flat=True))
flood(wide(2500))
Worker()._run_minute_jobs_when_due()
kept = set(CacheEntry.objects.values_list("cache_key", flat=True)) >= before
crowd = store.crowd() >= Crowd.GROUPS
known = [can_sign_in("20.20.0.7", "known@example.com", cookies) for _ in range(4)]
victim = can_sign_in("192.0.2.1", "victim")
at += 20_000
Worker()._run_minute_jobs_when_due()
result = [kept, crowd, max(sizes) <= {MOST}, known, victim,
          # All that stays says when the worker was last there.
          list(CacheEntry.objects.values_list("cache_key", flat=True))]
""")

    assert found == [True, True, True, [True, True, True, False], False, [":1:worker-seen"]]


def test_the_first_request_after_a_flood_purges_it(any_data: InstanceData) -> None:
    found = any_data.shell(f"""{FLOOD}
flood(wide(2500))
full = store.crowd() >= Crowd.GROUPS
at += 20_000
passed = can_sign_in("203.0.113.1", "honest")
result = [full, passed, CacheEntry.objects.filter(expires_at__lte=at).count(), store.crowd()]
""")

    assert found == [True, True, 0, 0]


@pytest.mark.parametrize(
    ("prefix", "neighbour", "others"),
    [
        ("2001:db8:{n:x}::7", "2001:db8:ffff::9", ["2a00:1450::9", "198.51.100.9"]),
        ("2001:db8:1:{n:x}::7", "2001:db8:1:ffff::9", ["2001:db8:2::9", "198.51.100.9"]),
        ("20.0.{n_256}.7", "20.0.255.9", ["20.1.0.9", "2001:db8::9"]),
    ],
    ids=["a /32 of IPv6", "a /48 of IPv6", "a /16 of IPv4"],
)
def test_one_prefix_cannot_fill_the_table_for_others(
    any_data: InstanceData, prefix: str, neighbour: str, others: list[str]
) -> None:
    """Each of its clients tries several accounts, so that all kinds of counters are made."""
    found = any_data.shell(f"""{FLOOD}
def addresses():
    for n in range(1200):
        yield {prefix!r}.replace("{{n:x}}", f"{{n:x}}").replace("{{n_256}}", f"{{n % 250}}")

for turn in range(2):
    for number, address in enumerate(addresses()):
        can_sign_in(address, f"name{{turn}}x{{number}}@example.com")
        if number % 50 == 0:
            sizes.append(CacheEntry.objects.count())
crowd = store.crowd()
scored.clear()
beside = [can_sign_in({neighbour!r}, f"beside{{n}}") for n in range(7)][-1]
passed = [[can_sign_in(other, f"honest{{place}}") for _ in range(4)]
          for place, other in enumerate({others!r})]
mails = [may_mail("reset", "honest@example.com") for _ in range(3)]
result = [max(sizes) < {MOST} // 4, crowd, beside, passed, mails, scored]
""")

    own = [True, True, True, False]
    assert found == [True, 0, False, [own, own], [True, True, False], ANY]
    # Who tries too often from a counter of their own scores, the neighbours of the flood do not.
    assert set(found[-1]) == {*others}
