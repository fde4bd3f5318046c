"""One soak test: start everything, run it under faults, stop it, check the promises."""

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from tests.soak.attackers import Attacker
from tests.soak.clients import Client, ClientThread
from tests.soak.deployment import Deployment
from tests.soak.faults import Faults, Probe
from tests.soak.journal import Credential, Journal
from tests.soak.proof import Proof
from tests.soak.stories import Stories

ATTACKERS = 2
LAST_STORIES_SECONDS = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """seconds: how long faults go on; each happens at least once. faults: names; () for all."""

    seed: int
    seconds: float
    faults: Sequence[str] = ()
    between_seconds: float = 2.5
    clients: int = 5
    # Between two stories of a client, and between two requests of an attacker.
    client_pause: float = 0.02
    attacker_pause: float = 0.03
    # A mail whose sender was killed is sent by another process after a minute.
    lease_seconds: float = 75.0


def soak(plan: Plan, say: Say) -> Journal:
    """Run the test; the returned journal contains the broken promises."""
    began = time.monotonic()
    deployment = Deployment()
    journal = Journal(deployment.folder / "journal.jsonl")
    try:
        say(f"seed {plan.seed}: started after {time.monotonic() - began:.0f} s")
        _under_faults(deployment, journal, plan, say)
        say(f"proof, after {time.monotonic() - began:.0f} s")
        Proof(deployment, journal).run(plan.lease_seconds)
        say(f"{journal.summary()}, {time.monotonic() - began:.0f} s in all")
        if journal.broken:
            deployment.is_kept = True
            say(f"journal and logs: {deployment.folder}")
    finally:
        deployment.stop()
        journal.close()
    return journal


def _under_faults(deployment: Deployment, journal: Journal, plan: Plan, say: Say) -> None:
    chance = random.Random(plan.seed)
    faults = Faults(deployment, journal, make_probe(deployment, journal), chance)
    clients = [Client(deployment, journal, chance.randrange(10**9)) for _one in range(plan.clients)]
    threads = [ClientThread(client, Stories(client).all(), plan.client_pause) for client in clients]
    attackers = [
        Attacker(deployment.urls, journal, chance.randrange(10**9), plan.attacker_pause)
        for _one in range(ATTACKERS)
    ]
    for thread in (*threads, *attackers):
        thread.start()
    try:
        _go_wrong(faults, plan, chance, say, journal)
    finally:
        _end(clients, threads, attackers)


def _go_wrong(
    faults: Faults, plan: Plan, chance: random.Random, say: Say, journal: Journal
) -> None:
    """Run each fault once in random order, then again until the time is up."""
    end = time.monotonic() + plan.seconds
    names = list(plan.faults or faults.all())
    rounds = chain.from_iterable(chance.sample(names, len(names)) for _round in repeat(None))
    for number, name in enumerate(rounds):
        if number >= len(names) and time.monotonic() >= end:
            return
        faults.wait(plan.between_seconds)
        began = time.monotonic()
        faults.run(name)
        took = time.monotonic() - began
        found = f"{len(journal.broken)} broken promises"
        say(f"{name}: {took:.1f} s; {journal.summary()}; {found}")


def _end(
    clients: Sequence[Client], threads: Sequence[ClientThread], attackers: Sequence[Attacker]
) -> None:
    """Let the running stories finish, and stop the attackers."""
    for each in (*clients, *attackers):
        each.over.set()
    running: list[threading.Thread] = [*threads, *attackers]
    for thread in running:
        thread.join(LAST_STORIES_SECONDS)


def make_probe(deployment: Deployment, journal: Journal) -> Probe:
    """Create a user with valid credentials for the checks during faults."""
    client = Client(deployment, journal, 0)
    person = client.new_user()
    access, _refresh = client.sign_in_by_tokens(person)
    _key_id, key = client.make_key(person, access)
    return Probe(access, key, Credential("password", person.email, person.password))


def new_seed() -> int:
    return secrets.randbelow(10**6)
