"""Runs every fault once, with clients and attackers, and then the final checks."""

from tests.soak.run import Plan, soak

SEED = 20


def test_under_every_fault_no_acknowledged_action_is_lost() -> None:
    said: list[str] = []

    journal = soak(
        Plan(
            SEED,
            seconds=0,
            between_seconds=0.3,
            clients=3,
            client_pause=0.7,
            attacker_pause=0.1,
            lease_seconds=5,
        ),
        said.append,
    )

    assert journal.broken == [], "\n".join(said)
    # The run had enough actions and revoked credentials to find something.
    assert journal.count("make person", "acknowledged") > 20
    assert len(journal.ended) > 50
