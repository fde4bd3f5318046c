"""Actions of SCIM: accounts and groups that an identity system creates, changes and deletes."""

from contextlib import suppress
from uuid import uuid4

from accounts.roles import Role
from accounts.services import users
from scim.errors import ScimError
from scim.services import groups as scim_groups
from scim.services import roles as scim_roles
from scim.services import users as scim_users
from tests.accounts.lock_table import LOCAL, act, person, with_local_settings

with_local_settings(scim_roles)


@act
def provision_accounts_and_groups() -> None:
    """What it races with may delete anna, which is no error of the service."""
    with suppress(ScimError):
        provision()


def provision() -> None:
    owner, anna = person("owner"), person("anna")
    name = f"scim-{uuid4().hex}@example.com"
    resource = {"userName": name, "externalId": name}
    with LOCAL.using(SCIM_ROLES=((name, Role.EDITOR),), SCIM_DEFAULT_ROLE="viewer"):
        user = scim_users.create_user(actor=owner, resource=resource)
        members = [{"value": str(key)} for key in (user.pk, anna.pk)]
        group = scim_groups.create_group(
            actor=owner, resource={"displayName": name, "members": members}
        )
        scim_groups.change_group(
            actor=owner, group_id=group.pk, change=lambda _before: {"displayName": name}
        )
        scim_users.change_user(
            actor=owner, user_id=user.pk, change=lambda before: {**before, "active": False}
        )
        scim_groups.delete_group(actor=owner, group_id=group.pk)
        scim_users.delete_user(actor=owner, user_id=user.pk)
        scim_users.create_user(actor=owner, resource=resource)
    users.delete_user(actor=owner, user=user)
