"""The rank rule as a table."""

import pytest

from accounts.roles import Role, allows, can_give, can_manage, grantable

OWNER, ADMIN, EDITOR, VIEWER, NONE = (
    Role.OWNER,
    Role.ADMIN,
    Role.EDITOR,
    Role.VIEWER,
    Role.NONE,
)
MANAGES = {
    OWNER: {OWNER, ADMIN, EDITOR, VIEWER, NONE},
    ADMIN: {EDITOR, VIEWER, NONE},
    EDITOR: set(),
    VIEWER: set(),
    NONE: set(),
}


@pytest.mark.parametrize("actor", Role)
@pytest.mark.parametrize("target", Role)
def test_who_may_manage_whom(actor: Role, target: Role) -> None:
    assert can_manage(actor, target) is (target in MANAGES[actor])
    assert can_give(actor, target) is (target in MANAGES[actor])


def test_assignable_roles_are_listed_highest_first() -> None:
    assert grantable(ADMIN) == (EDITOR, VIEWER, NONE)
    assert grantable(OWNER) == (OWNER, ADMIN, EDITOR, VIEWER, NONE)
    assert grantable(EDITOR) == ()


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        (NONE, "notes.view_note", False),
        (VIEWER, "notes.view_note", True),
        (VIEWER, "notes.change_note", False),
        (EDITOR, "notes.change_note", True),
        (EDITOR, "notes.delete_note", True),
        (EDITOR, "accounts.view_user", False),
        (VIEWER, "magiclinks.view_loginlink", False),
        (ADMIN, "accounts.change_user", True),
        (OWNER, "accounts.delete_user", True),
    ],
)
def test_djangos_permissions_follow_from_the_role(
    role: Role, permission: str, expected: bool
) -> None:
    app_label, codename = permission.split(".")

    assert allows(role, app_label, codename) is expected
