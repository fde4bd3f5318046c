"""Directory groups and roles: TRAPS 41, ATTACKS A111, A113."""

import io
import json
from typing import cast

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Membership, User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import find_group, groups_of
from audit.models import AuditEvent
from federation.ldap import sign_in as ldap_sign_in
from federation.ldap import sync, users
from federation.ldap.connection import Connection, Entry
from federation.services.identities import GroupsIncomplete
from tests.conftest import MakeUser
from tests.federation.ldap.conftest import SignIn, UseDirectory
from tests.servers.ldap import GROUPS, SUFFIX, DirectoryServer

pytestmark = pytest.mark.django_db


def role() -> str:
    return User.objects.get(identities__provider="ldap").role


@pytest.mark.parametrize(
    "group",
    ["Gate Admins", "GATE  admins", f"CN=gate admins, OU=Groups,{SUFFIX.upper()}"],
)
def test_a_group_matches_by_name_or_dn_case_insensitively(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, group: str
) -> None:
    server.add_group("gate admins", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING=json.dumps({group: "Admin"}))

    sign_in("anna")

    assert role() == "admin"


def test_a_group_with_the_same_name_elsewhere_does_not_match_a_dn(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    anna = server.add_user("anna")
    server.add(f"ou=clubs,{GROUPS}", {"objectClass": ["organizationalUnit"], "ou": "clubs"})
    server.add_group("admins", anna, base=f"ou=clubs,{GROUPS}")
    server.add_group(f"cn=admins,{GROUPS}", anna)
    use_directory(LDAP_ROLES_MAPPING=json.dumps({f"cn=admins,{GROUPS}": "admin"}))

    sign_in("anna")

    assert role() == "none"


def test_a_name_with_a_comma_is_one_name(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_group("admins, all of them", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING='{"admins": "admin", "Admins, all of them": "editor"}')

    sign_in("anna")

    assert role() == "editor"


def test_the_highest_role_counts_and_owner_must_be_mapped_explicitly(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    anna = server.add_user("anna")
    for name in ("viewers", "admins", "editors"):
        server.add_group(name, anna)
    use_directory(LDAP_ROLES_MAPPING='{"viewers": "viewer", "admins": ["viewer", "admin"]}')
    sign_in("anna")
    assert role() == "admin"

    use_directory(LDAP_ROLES_MAPPING='{"editors": "owner"}')
    sign_in("anna")
    assert role() == "owner"


def test_five_thousand_groups_are_read(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    names = [f"cn=group {number},{GROUPS}" for number in range(4999)] + [f"cn=admins,{GROUPS}"]
    server.add_user("anna", description=names)
    use_directory(LDAP_GROUP_FIELD="description", LDAP_ROLES_MAPPING='{"admins": "admin"}')

    sign_in("anna")

    assert role() == "admin"


def test_a_lost_group_removes_the_role_at_the_next_sign_in(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    anna = server.add_user("anna")
    group = server.add_group("staff", anna)
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}', LDAP_DEFAULT_ACCESS="viewer")
    sign_in("anna")
    before = role()
    server.delete(group)

    sign_in("anna")

    assert (before, role()) == ("editor", "viewer")


def test_with_updates_off_a_role_stays(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    group = server.add_group("staff", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}', UPDATE_ROLES_ON_LOGIN="false")
    sign_in("anna")
    server.delete(group)

    sign_in("anna")

    assert role() == "editor"


def test_the_last_owner_is_not_demoted_by_mapping(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    """TRAPS 27."""
    group = server.add_group("bosses", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING='{"bosses": "owner"}')
    sign_in("anna")
    server.delete(group)

    assert sign_in("anna").status_code == 302
    assert role() == "owner"


def test_a_locked_role_is_not_changed(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}')
    sign_in("anna")
    User.objects.update(role="admin", role_locked=True)

    sign_in("anna")

    assert role() == "admin"


def test_a_referral_is_neither_user_nor_group(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    """A113."""
    anna = server.add_user("anna")
    handle = server.as_root()
    handle.set_option(0x0008, 0)
    handle.add_s(
        f"cn=elsewhere,{GROUPS}",
        [
            ("objectClass", [b"referral", b"extensibleObject"]),
            ("cn", [b"elsewhere"]),
            ("ref", [b"ldap://192.0.2.1/cn=elsewhere,dc=example,dc=com"]),
        ],
    )
    server.add_group("staff", anna)
    use_directory(
        LDAP_BASE_DN=SUFFIX,
        LDAP_GROUP_SEARCH_FILTER="(member={user_dn})",
        LDAP_ROLES_MAPPING='{"staff": "editor", "elsewhere": "admin"}',
    )

    try:
        assert sign_in("anna").status_code == 302
        assert role() == "editor"
    finally:
        handle.set_option(0x0008, 0)
        from ldap.controls.simple import ManageDSAITControl

        handle.delete_ext_s(f"cn=elsewhere,{GROUPS}", serverctrls=[ManageDSAITControl()])
        handle.unbind_s()


def test_the_configured_user_becomes_owner_once(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    server.add_user("bert")
    use_directory(LDAP_ADMIN_USERNAME="Anna")
    User(email="admin@admin.com", role="owner", setup_completed=False, password="!").save()

    sign_in("bert")
    sign_in("anna")

    assert list(User.objects.order_by("email").values_list("email", "role")) == [
        ("anna@example.org", "owner"),
        ("bert@example.org", "none"),
    ]


def test_no_one_becomes_owner_if_there_is_an_owner(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    owner: User,
    make_user: MakeUser,
) -> None:
    server.add_user("anna")
    use_directory(LDAP_ADMIN_USERNAME="anna")

    sign_in("anna")

    assert role() == "none"


class InPieces:
    """A server that gives at most two groups at once, as Active Directory gives 1,500."""

    def __init__(self, *groups: str, known: int = 99) -> None:
        self.groups, self.known = [f"cn={name},{GROUPS}".encode() for name in groups], known
        self.asked: list[str] = []

    def read(self, _dn: str, attributes: list[str]) -> Entry | None:
        (name,) = attributes
        self.asked.append(name)
        first = int(name.partition("=")[2].partition("-")[0])
        return self.piece(first) if first < self.known else Entry("uid=anna", {})

    def piece(self, first: int) -> Entry:
        found = self.groups[first : first + 2]
        end = "*" if first + 2 >= len(self.groups) else str(first + len(found) - 1)
        return Entry("uid=anna", {"memberof": [], f"memberof;range={first}-{end}": found})


def test_a_ranged_list_of_groups_is_read_completely(
    use_directory: UseDirectory,
) -> None:
    directory = use_directory()
    server = InPieces("a", "b", "c", "d", "e")

    (person,) = users.describe(cast("Connection", server), directory, [server.piece(0)])

    assert person.groups.names == ("a", "b", "c", "d", "e")
    assert person.groups.is_incomplete is False
    assert server.asked == ["memberOf;range=2-*", "memberOf;range=4-*"]


def test_a_partial_list_of_groups_removes_no_role(use_directory: UseDirectory, db: None) -> None:
    directory = use_directory(LDAP_ROLES_MAPPING='{"e": "admin", "a": "editor"}')
    whole, part = InPieces("a", "b", "c", "d", "e"), InPieces("a", "b", "c", "d", "e", known=3)

    def user_by(server: InPieces) -> users.DirectoryUser:
        return next(users.describe(cast("Connection", server), directory, [server.piece(0)]))

    user = ldap_sign_in.sign_in(directory, user_by(whole))
    with pytest.raises(GroupsIncomplete):
        ldap_sign_in.sign_in(directory, user_by(part))

    user.refresh_from_db()
    assert user.role == "admin"


def test_groups_follow_the_directory_at_sign_in_and_by_syncldap(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    anna, bert = server.add_user("anna"), server.add_user("bert")
    staff = server.add_group("Finance Dept", anna, bert)
    for name in ("finance", "wiki"):
        create_group(actor=SYSTEM, name=name)
    mapped = {"finance dept": "finance", staff: ["wiki", "unknown"]}
    use_directory(LDAP_GROUPS_MAPPING=json.dumps(mapped), LDAP_DEFAULT_ACCESS="viewer")

    def header() -> str:
        asked = {"x-original-url": "https://wiki.example.com/", "x-original-method": "GET"}
        checked = browser.get("/auth/check", headers=asked)
        return cast("str", checked["Remote-Groups"])

    browser = Client(headers={"user-agent": "Mozilla/5.0 Firefox/140.0"})
    sign_in("anna", client=browser)
    sign_in("bert")
    assert header() == "viewer,finance,wiki"
    user = User.objects.get(username="anna")
    add_member(actor=SYSTEM, user=user, group=find_group("wiki"))
    server.replace(staff, member=[bert])

    assert sync.sync_live() == 1

    assert header() == "viewer,wiki"
    assert groups_of(User.objects.get(username="bert")) == ("finance", "wiki")
    removed = AuditEvent.objects.filter(action="account:membership:remove").order_by("seq")
    assert [(row.target_id, row.detail["group"], row.detail["source"]) for row in removed] == [
        (user.pk, "finance", "directory"),
        (user.pk, "wiki", "directory"),
    ]
    assert sync.plan(use_directory()).groups[0].mapped.names == frozenset()  # no mapping any more
    said = io.StringIO()
    call_command("syncldap", "--apply", stdout=said)
    assert "groups   bert@example.org: none" in said.getvalue()
    assert "groups of 1 people updated" in said.getvalue()
    assert not Membership.objects.exclude(source="manual").exists()
