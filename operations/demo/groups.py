"""The groups of a demo, who is in them, and until when."""

from datetime import timedelta
from typing import NamedTuple

from accounts.models import Group
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from operations.demo.people import Persona, State
from operations.demo.story import Story


class Team(NamedTuple):
    """A group. every: each so many people are in it. days: for how long from now, 0 for good."""

    name: str
    label: str
    description: str
    every: int
    days: int = 0


TEAMS = (
    Team("finance", "Finance and controlling", "May read invoices.", 4),
    Team("lab-berlin", "Lab in Berlin", "", 3),
    Team("auditors", "External auditors", "Here for the yearly audit.", 9, days=30),
)


def plan_groups(story: Story) -> None:
    """The owner makes the groups on the first day; people join a day after they came."""
    active = [person for person in story.people if person.state is State.ACTIVE]
    for number, team in enumerate(TEAMS):
        story.plan(story.start + timedelta(hours=1, minutes=number), _create, story, team)
        for persona in active[number :: team.every]:
            at = story.start + timedelta(days=persona.joined_day + 1, hours=3, minutes=number)
            story.plan(at, _join, story, persona, team)


def _create(story: Story, team: Team) -> None:
    owner = story.user_of(story.people[0])
    create_group(actor=owner, name=team.name, label=team.label, description=team.description)


def _join(story: Story, persona: Persona, team: Team) -> None:
    until = story.end + timedelta(days=team.days) if team.days else None
    add_member(
        actor=story.user_of(story.people[0]),
        user=story.user_of(persona),
        group=Group.objects.get(name=team.name),
        until=until,
    )
