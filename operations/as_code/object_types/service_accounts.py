"""Service accounts. Their API keys are made where they are used, not here."""

from collections.abc import Collection, Iterable
from typing import Any

from accounts.actors import Actor
from accounts.models import Group, User
from accounts.roles import Role
from accounts.services.service_accounts import (
    create_service_account,
    give_to_team,
    hand_over,
)
from accounts.services.users import Profile, change_role, disable_user, edit_profile, set_expiry
from core.text.email_addresses import parse_username
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same

TABLE = Table(
    "service_accounts",
    "Accounts of programs. They have API keys and nothing else.",
    (
        Field("username", Type.TEXT, "How it is called; it never changes.", most=64,
              is_required=True),
        Field("name", Type.TEXT, "What it is for.", most=150),
        Field("role", Type.TEXT, "What it may do.", default=Role.VIEWER.value,
              choices=tuple(role.value for role in Role if role is not Role.OWNER)),
        Field("responsible", Type.TEXT, "The address of the person who answers for it.",
              is_required=True),
        Field("team", Type.TEXT, "The group that answers for it, too."),
        Field("expires_at", Type.TIME, "When its access ends: a date, which is the end of that "
              "day, or a time. Empty: never.", default=None),
    ),
    key="username",
)  # fmt: skip


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """Those with one of these user names."""
    rows = User.objects.service_accounts().order_by("email")
    if keys is not None:
        rows = rows.filter(username__in=keys)
    found = list(rows[: TABLE.most + 1])
    people = User.objects.in_bulk([user.responsible_id for user in found if user.responsible_id])
    teams = Group.objects.in_bulk(
        [user.responsible_group_id for user in found if user.responsible_group_id]
    )
    return {
        user.email: Stored(
            str(user.pk),
            {
                "username": user.email,
                "name": user.name,
                "role": user.role,
                # The id of whoever is deleted.
                "responsible": _text(user.responsible_id, people, "email"),
                "team": _text(user.responsible_group_id, teams, "name"),
                "expires_at": user.expires_at,
            },
        )
        for user in found
    }


def _text(key: Any, rows: dict[Any, Any], name: str) -> str:
    return str(getattr(rows[key], name) if key in rows else key or "")


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    values = entry.wanted() | {"username": entry.key}
    if stored is not None and is_same(values, stored):
        return
    before = stored.values if stored else {}
    people = run.people_ids(entry, "responsible", [before.get("responsible", "")])
    teams = run.group_ids(entry, "team", [before.get("team", "")]) if values["team"] else []
    if not people or bool(teams) != bool(values["team"]):
        return
    person = User.objects.filter(pk=people[0]).first()
    if person is not None:
        run.require_locked(str(person.pk))
    team = Group.objects.filter(pk=teams[0]).first() if teams else None
    with run.telling(entry):
        if stored is None:
            create_service_account(
                actor=run.actor,
                username=entry.key,
                name=values["name"],
                role=values["role"],
                responsible=person,
                team=team,
                expires_at=values["expires_at"],
                source="command",
            )
        else:
            _change(run.actor, stored, values, person, team)


def _change(
    actor: Actor, stored: Stored, values: dict[str, Any], person: User | None, team: Group | None
) -> None:
    """Each service writes only what differs."""
    user = User.objects.get(pk=stored.id)
    if values["responsible"].strip().lower() != stored.values["responsible"]:
        hand_over(actor=actor, user=user, responsible=person)
    if values["team"].strip().lower() != stored.values["team"]:
        give_to_team(actor=actor, user=user, team=team)
    if values["role"] != stored.values["role"]:
        change_role(actor=actor, user=user, role=values["role"])
    set_expiry(actor=actor, user=user, expires_at=values["expires_at"])
    if values["name"] != stored.values["name"]:
        edit_profile(actor=actor, user=user, profile=Profile(name=values["name"]))


def remove(run: Run, stored: Stored) -> str:
    """Disabled; its keys refuse everything from then on.

    Its team, which may have left the file as well, answers for it no longer.
    """
    user = User.objects.filter(pk=stored.id).first()
    if user is None or not user.is_active:
        return ""
    give_to_team(actor=run.actor, user=user, team=None)
    disable_user(actor=run.actor, user=user, reason="not in the configuration file")
    return "disabled"


def _users_of(entries: Iterable[Entry]) -> set[str]:
    """Addresses and user names."""
    found = set[str]()
    for entry in entries:
        found |= {entry.key, str(entry.values.get("responsible", "")).strip().lower()}
    return found


KIND = Kind(TABLE, read, save, remove, clean_key=parse_username, users_of=_users_of)
