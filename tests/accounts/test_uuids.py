"""UUIDs sort by creation time."""

import time

from core.uuid7 import uuid7


def test_uuids_of_one_millisecond_keep_their_order(monkeypatch) -> None:
    now = time.time_ns() // 1_000_000 * 1_000_000
    ticks = iter(now + 1000 * step for step in range(900))
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks))

    made = [uuid7() for _ in range(900)]

    assert made == sorted(made)
    assert len(set(made)) == 900
    assert {(value.version, value.variant) for value in made} == {(7, "specified in RFC 4122")}
    assert made[0].int >> 80 == now // 1_000_000
