"""Every fault once, under clients and attackers, and the proof afterwards."""

from tests.soak.run import Plan, soak

SEED = 20


def test_nothing_acknowledged_is_lost_and_nobody_gets_in_under_any_fault() -> None:
    said: list[str] = []

    journal = soak(
        Plan(SEED, seconds=0, between_seconds=0.5, clients=3, lease_seconds=5), said.append
    )

    assert journal.broken == [], "\n".join(said)
    # It was no empty run: there was something to lose, and something to break into.
    assert journal.count("make person", "acknowledged") > 20
    assert len(journal.ended) > 50
