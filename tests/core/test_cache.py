"""The cache in the database: atomic operations, exact expiry."""

from collections.abc import Callable

import pytest
from django.core.cache import cache

from core.cache import purge_batch, purge_expired
from core.models import CacheEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    import time

    real = time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr("time.time", lambda: real() + seconds)

    return move


def test_a_value_is_returned_until_it_expires(clock: Callable[[float], None]) -> None:
    cache.set("a", {"b": [1, "c"]}, 60)
    assert cache.get("a") == {"b": [1, "c"]}

    clock(61)
    assert cache.get("a", "gone") == "gone"


def test_add_keeps_an_existing_value() -> None:
    assert cache.add("a", 1, 60) is True
    assert cache.add("a", 2, 60) is False
    assert cache.get("a") == 1


def test_add_replaces_an_expired_entry(clock: Callable[[float], None]) -> None:
    cache.add("a", 1, 60)
    clock(61)

    assert cache.add("a", 2, 60) is True


def test_incr_keeps_the_expiry(clock: Callable[[float], None]) -> None:
    cache.add("a", 1, 3600)
    clock(3000)
    assert cache.incr("a", 5) == 6

    clock(3599)
    assert cache.get("a") == 6
    clock(3601)
    with pytest.raises(ValueError, match="not found"):
        cache.incr("a")


def test_incr_of_a_missing_key_fails() -> None:
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")


def test_touch_delete_and_clear() -> None:
    cache.set("a", 1, 60)
    assert cache.touch("a", 120) is True
    assert cache.touch("b") is False
    assert cache.delete("a") is True
    assert cache.delete("a") is False
    cache.set("c", 1)
    cache.clear()
    assert cache.get("c") is None


def test_expired_entries_are_purged_in_batches(clock: Callable[[float], None]) -> None:
    for number in range(5):
        cache.set(str(number), number, 60)
    cache.set("stays", 1, 600)
    clock(61)

    assert purge_batch(limit=2) == 2
    assert purge_expired(seconds=0, limit=2) == 2
    assert purge_expired(limit=1) == 1
    assert CacheEntry.objects.count() == 1
