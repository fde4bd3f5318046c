"""The first people: their accounts with roles and groups, or invitations. Never a password.

An account that exists keeps its names; its role and its groups follow the file. No file demotes,
disables or deletes an owner.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.utils import timezone

from accounts.group_names import is_id
from accounts.models import Group, Invitation, Membership, User
from accounts.models.groups import MANUAL
from accounts.roles import Role
from accounts.services.groups.members import add_member, remove_member
from accounts.services.invitations import invite, withdraw
from accounts.services.users import change_role, create_user, disable_user
from core.text.email_addresses import parse_email
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import INVITATION, Kind, Run, Stored

TABLE = Table(
    "people",
    "Accounts of people. Others, and what a field leaves out, stay as they are.",
    (
        Field("email", Type.TEXT, "The address, by which the account is known.", most=254,
              is_required=True),
        Field("name", Type.TEXT, "Of a new account.", is_kept=True, most=150),
        Field("username", Type.TEXT, "Of a new account.", is_kept=True, most=64),
        Field("role", Type.TEXT, "A new account has viewer if this is left out. Making an owner "
              "needs --allow-owners.", choices=tuple(role.value for role in Role), is_kept=True),
        Field("groups", Type.TEXTS, "Names of all groups that people have given this person for "
              "good. Groups from a directory or a provider, and those with an end, stay.",
              default=[], is_kept=True, most=50),
        Field("invite", Type.FLAG, "Invite the address by mail. Without it a new account is made "
              "at once, and its owner signs in with a link.", default=False, is_kept=True),
    ),
    key="email",
)  # fmt: skip


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """Accounts, then open invitations, with one of these addresses; for None every account."""
    rows = User.objects.people().order_by("email")
    if keys is not None:
        rows = rows.filter(email__in=keys)
    users = list(rows[: TABLE.most + 1])
    found = {user.email: Stored(str(user.pk), _values(user, groups))
             for user, groups in _with_groups(users)}  # fmt: skip
    open_ones = Invitation.objects.usable(timezone.now()).filter(email__in=keys or ())
    for row in open_ones.order_by("pk"):
        if row.email not in found:
            names = Group.objects.filter(pk__in=row.group_ids).values_list("name", flat=True)
            values = {"email": row.email, "role": row.role, "groups": sorted(names),
                      "invite": True}  # fmt: skip
            found[row.email] = Stored(f"{INVITATION}{row.pk}", values)
    return found


def _values(user: User, groups: list[str]) -> dict[str, Any]:
    return {"email": user.email, "name": user.name, "username": user.username or "",
            "role": user.role, "groups": groups}  # fmt: skip


def _with_groups(users: list[User]) -> Iterable[tuple[User, list[str]]]:
    """Each with the groups that were given by hand and for good."""
    rows = Membership.objects.filter(user__in=users, source=MANUAL, until=None)
    names: dict[Any, list[str]] = {user.pk: [] for user in users}
    for key, name in rows.order_by("group__name").values_list("user_id", "group__name"):
        names[key].append(name)
    return [(user, names[user.pk]) for user in users]


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    role = entry.values.get("role")
    user = None if stored is None else _user(stored)
    if _is_refused(run, entry, user, role):
        return
    ids = run.group_ids(entry, "groups")
    with run.telling(entry, {"group": "groups"}):
        if user is not None:
            _change(run, user, role, ids if "groups" in entry.values else None)
        elif entry.values.get("invite"):
            _invite(run, entry, stored, role or Role.VIEWER.value, ids)
        else:
            user = create_user(
                actor=run.actor,
                email=entry.key,
                role=role or Role.VIEWER.value,
                name=entry.values.get("name", ""),
                username=entry.values.get("username") or None,
                source="command",
            )
            run.locked.add(user.pk)  # nobody else can see it yet
            _change(run, user, None, ids)


def _is_refused(run: Run, entry: Entry, user: User | None, role: str | None) -> bool:
    if user is not None and user.role == Role.OWNER and role not in (None, Role.OWNER):
        run.wrong(entry, "role", "this is an owner, whom no file demotes: use manage.py setrole")
        return True
    becomes_owner = role == Role.OWNER and (user is None or user.role != Role.OWNER)
    if becomes_owner and not run.allows_owners:
        run.wrong(entry, "role", "add --allow-owners to make an owner")
        return True
    return False


def _change(run: Run, user: User, role: str | None, ids: list[str] | None) -> None:
    """ids: of the groups that the person is in; None leaves them alone."""
    if role is not None and user.role != role:
        change_role(actor=run.actor, user=user, role=role)
    if ids is None:
        return
    held = {
        str(row.group_id): row.group
        for row in Membership.objects.filter(user=user, source=MANUAL, until=None)
        .select_related("group")
        .order_by("group__name")
    }
    for key, group in held.items():
        if key not in ids:
            remove_member(actor=run.actor, user=user, group=group)
    for key in ids:
        if key not in held:
            add_member(actor=run.actor, user=user, group=Group(pk=key))


def _invite(run: Run, entry: Entry, stored: Stored | None, role: str, ids: list[str]) -> None:
    """Nothing if an open invitation offers the same."""
    names = sorted(Group.objects.filter(pk__in=ids).values_list("name", flat=True))
    if stored and (stored.values["role"], stored.values["groups"]) == (role, names):
        return
    name = entry.values.get("name", "")
    invite(actor=run.actor, email=entry.key, role=role, name=name, group_ids=ids)


def _user(stored: Stored) -> User | None:
    if stored.id.startswith(INVITATION):
        return None
    found: User | None = User.objects.filter(pk=stored.id).first()
    return found


def remove(run: Run, stored: Stored) -> str:
    """Accounts are disabled, open invitations withdrawn; owners stay."""
    if stored.id.startswith(INVITATION):
        key = stored.id.removeprefix(INVITATION)
        withdraw(actor=run.actor, invitation=Invitation.objects.get(pk=key))
        return "withdrawn"
    user = _user(stored)
    if user is None or user.role == Role.OWNER or not user.is_active:
        return ""
    disable_user(actor=run.actor, user=user, reason="not in the configuration file")
    return "disabled"


def _key_of(key: str) -> str:
    user = User.objects.filter(pk=key).first() if is_id(key) else None
    return user.email if user else ""


KIND = Kind(
    TABLE,
    read,
    save,
    remove,
    clean_key=parse_email,
    users_of=lambda entries: {entry.key for entry in entries},
    key_of=_key_of,
    initial=frozenset({"name", "username", "invite"}),
)
