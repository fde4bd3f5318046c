"""The people of a demo: the same ones for the same seed. Pure: no database, no clock."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from accounts.roles import Role

# A top-level domain that no one can own (RFC 2606), so that no mail can reach a stranger.
DOMAIN = "northwind.example"
MIN_PEOPLE, MAX_PEOPLE = 10, 5000

FIRST_NAMES = """
Amara Anna Aylin Ben Björn Carla Chidi Chloé Dalia Daniel Elena Emre Fatima Felix Freya Gabriel
Hana Hugo Ines Ivan Jana Jonas Kofi Lea Leon Linh Luca Malik Marta Mei Mina Nadia Nils Noor Olga
Omar Paula Priya Quentin Rafael Rosa Samira Sofia Tariq Thea Tomás Uma Viktor Wren Yara Yusuf Zoë
"""
LAST_NAMES = """
Abara Almeida Bauer Becker Bianchi Brandt Castillo Chen Costa Demir Dubois Eriksen Fischer Fontaine
Garcia Haddad Hansen Hoffmann Ito Jansen Kaya Keller Kim Kowalski Kruse Lang Larsen Lindqvist Meyer
Mensah Moreau Nguyen Novak Okafor Oliveira Park Patel Petrov Quinn Rahman Rossi Sato Schmidt Silva
Singh Sørensen Tanaka Torres Ueda Vargas Vogel Wagner Weber Weiss Yilmaz Zhang Zimmermann
"""
PLAIN = str.maketrans({"ö": "o", "é": "e", "á": "a", "ø": "o", "ë": "e"})


class State(StrEnum):
    """What has become of a person by the end of the story."""

    ACTIVE = "active"
    DISABLED = "disabled"
    BANNED = "banned"
    UNCONFIRMED = "waiting for confirmation"
    INVITED = "invited"


@dataclass(frozen=True, slots=True)
class Persona:
    """A person of the story. joined_day: 0 to 59, the day on which they join or are invited."""

    name: str
    email: str
    username: str | None
    role: Role
    state: State
    joined_day: int
    by_invitation: bool


def make_people(count: int, seed: int, days: int) -> list[Persona]:
    """`count` people; the first one is the owner, and two or more of the others are admins."""
    draw = random.Random(seed)  # noqa: S311 - names, no secrets
    states = _states(count)
    names = _names(draw)
    taken = Counter[str]()
    people = []
    for number, state in enumerate(states):
        name = next(names)
        local = ".".join(name.lower().translate(PLAIN).split())
        taken[local] += 1
        local += str(taken[local]) if taken[local] > 1 else ""
        people.append(
            Persona(
                name=name,
                email=f"{local}@{DOMAIN}",
                username=local if state is not State.INVITED and draw.random() < 0.6 else None,
                role=_role(number, state, draw),
                state=state,
                joined_day=_joined_day(number, state, draw, days),
                by_invitation=draw.random() < 0.6,
            )
        )
    return people


def _states(count: int) -> list[State]:
    """The founders first; the others in a fixed pattern that has each state from ten people on."""
    pattern = {
        4: State.DISABLED, 5: State.BANNED, 6: State.UNCONFIRMED, 7: State.INVITED,
        17: State.DISABLED, 18: State.INVITED, 26: State.UNCONFIRMED, 27: State.INVITED,
    }  # fmt: skip
    return [pattern.get(number % 40, State.ACTIVE) for number in range(count)]


def _names(draw: random.Random) -> Iterator[str]:
    """All combinations in random order, and from the start again after the last one."""
    pairs = [f"{first} {last}" for first in FIRST_NAMES.split() for last in LAST_NAMES.split()]
    draw.shuffle(pairs)
    while True:
        yield from pairs


def _role(number: int, state: State, draw: random.Random) -> Role:
    if number == 0:
        return Role.OWNER
    if number <= 2 or (state is State.ACTIVE and number % 40 == 20):
        return Role.ADMIN
    if number == 3 or (state is not State.UNCONFIRMED and draw.random() < 0.3):
        return Role.EDITOR
    return Role.VIEWER


def _joined_day(number: int, state: State, draw: random.Random, days: int) -> int:
    if number <= 3:
        return 0
    if state in (State.INVITED, State.UNCONFIRMED):
        return draw.randrange(days - 5, days)
    return draw.randrange(1, days - 10)
