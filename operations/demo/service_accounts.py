"""The service accounts of a demo: one that is looked after, and one for which nobody answers."""

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from accounts.roles import Role
from accounts.services.service_accounts import create_service_account
from api.apikeys.services import IssuedKey, KeyRequest, create_key
from api.apikeys.sql import note_use
from api.permissions import Scope
from operations.demo.people import Persona, State
from operations.demo.story import Story


class Program(NamedTuple):
    """A service account with one key. state: of the person who answers for it. ip: of its use."""

    username: str
    name: str
    role: Role
    state: State
    key: str
    scopes: tuple[Scope, ...]
    ip: str


PROGRAMS = (
    Program("backup", "Nightly backup of the wiki", Role.VIEWER, State.ACTIVE,
            "cron on storage-1", (Scope.READ,), "192.0.2.7"),
    Program("release-notes", "Writes release notes into the wiki", Role.EDITOR, State.DISABLED,
            "build pipeline", (Scope.READ, Scope.WRITE), "192.0.2.5"),
)  # fmt: skip


def plan_service_accounts(story: Story) -> None:
    """Both are created soon after their responsible person has joined."""
    for number, program in enumerate(PROGRAMS):
        persona = next(
            persona
            for persona in story.people[1:]
            if persona.state is program.state and persona.role.rank >= Role.VIEWER.rank
        )
        at = story.start + timedelta(days=persona.joined_day + 1, hours=2, minutes=number)
        issued = list[IssuedKey]()
        story.plan(at, _create, story, persona, program, issued)
        story.plan(story.end - timedelta(hours=3), _use, program, issued)


def _create(story: Story, persona: Persona, program: Program, issued: list[IssuedKey]) -> None:
    owner = story.user_of(story.people[0])
    user = create_service_account(
        actor=owner,
        username=program.username,
        responsible=story.user_of(persona),
        role=program.role,
        name=program.name,
        source="panel",
    )
    wanted = KeyRequest(name=program.key, scopes=program.scopes)
    issued.append(create_key(actor=owner, user=user, key_request=wanted))


def _use(program: Program, issued: list[IssuedKey]) -> None:
    note_use(issued[0].key, program.ip, timezone.now())
