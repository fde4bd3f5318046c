"""`ldaptest` and `syncldap` with a real directory: ATTACKS A111, F19."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from accounts.models import EmailRequest, User
from audit.models import AuditEvent
from devtools.servers.processes import free_port
from federation.ldap import sync
from federation.models import ExternalIdentity
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from operations.reachability import directory_faults
from tests.conftest import MakeUser
from tests.federation.ldap.conftest import SignIn, UseDirectory
from tests.servers.ldap import GROUPS, PASSWORD, USERS, DirectoryServer

pytestmark = pytest.mark.django_db
FILTER = "(&(cn=staff)(member={user_dn}))"


def run(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def fail(name: str, *arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        run(name, *arguments)
    return str(caught.value)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


@pytest.fixture
def people(server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn) -> list[str]:
    """Ten people in the group staff, who are editors here; their DNs."""
    dns = [server.add_user(f"person{number}") for number in range(10)]
    server.add_group("staff", *dns)
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}', LDAP_AUTHORIZATION_FILTER=FILTER)
    for number in range(10):
        assert sign_in(f"person{number}").status_code == 302
    return dns


def test_ldaptest_explains_every_step_of_a_sign_in(
    server: DirectoryServer, use_directory: UseDirectory, typed: Callable[[str], None]
) -> None:
    server.add_group("staff", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}', LDAP_AUTHORIZATION_FILTER=FILTER)
    typed(PASSWORD)

    lines = run("ldaptest", "anna", "--password-stdin").splitlines()

    assert [line.split("  ")[0] for line in lines] == [
        "Settings",
        "Connect",
        "Service account",
        "People",
        "Search",
        "Password",
        "Person",
        "Authorization",
        "Groups",
        "Role",
        "Sign-in",
        "All steps succeeded.",
    ]
    assert f"one entry: uid=anna,{USERS}" in lines[4]
    assert f"cn=staff,{GROUPS}" in lines[8]
    assert "editor" in lines[9]
    assert lines[10].endswith("a new account is made")
    assert User.objects.count() == 0
    assert PASSWORD not in "".join(lines)


@pytest.mark.parametrize(
    ("changes", "login", "password", "text"),
    [
        ({"LDAP_BIND_PASSWORD": "wrong"}, "", "", "The service account was refused."),
        ({"LDAP_BASE_DN": "ou=x,dc=example,dc=org"}, "", "", "There is no entry LDAP_BASE_DN"),
        ({"LDAP_SEARCH_FILTER": "(telexNumber={username})"}, "", "", "returns no entries at all"),
        ({}, "bert", "x", "No user in the directory has this user name."),
        ({}, "both@example.org", "x", "More than one entry has this user name"),
        ({}, "anna", "wrong", "The directory does not accept this password."),
        ({}, "anna", "", "An empty password is never sent."),
        ({}, "an\tna", "x", "This user name cannot be asked for"),
        ({"LDAP_AUTHORIZATION_FILTER": FILTER}, "anna", PASSWORD, "does not find this person."),
    ],
)
def test_ldaptest_reports_the_problem_and_the_fix(
    server: DirectoryServer,
    use_directory: UseDirectory,
    typed: Callable[[str], None],
    changes: dict[str, str],
    login: str,
    password: str,
    text: str,
) -> None:
    server.add_user("anna", mail="both@example.org")
    server.add_user("carl", mail="both@example.org")
    use_directory(**changes)
    typed(password)

    said = fail("ldaptest", *([login] if login else []), "--password-stdin")

    assert text in said
    assert len(said) > len(text) + 10


def test_ldaptest_performs_the_real_sign_in_and_keeps_nothing_of_it(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, make_user: MakeUser
) -> None:
    group = server.add_group("staff", server.add_user("anna"))
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}', LDAP_ADMIN_USERNAME="anna")
    assert "a new account is made; becomes owner" in run("ldaptest", "anna", "--no-password")
    make_user("owner")
    sign_in("anna")
    server.delete(group)
    before = AuditEvent.objects.count(), OutboxMail.objects.count()

    lines = run("ldaptest", "anna", "--no-password").splitlines()

    assert lines[-2].endswith("the account anna@example.org is this person's; role editor -> none")
    assert "Password" not in "".join(lines)
    assert (AuditEvent.objects.count(), OutboxMail.objects.count()) == before
    assert User.objects.get(email="anna@example.org").role == "editor"


def test_ldaptest_connects_and_rejects_as_sign_in_does(
    server: DirectoryServer, use_directory: UseDirectory, make_user: MakeUser
) -> None:
    """The address of a local account, of an administrator, and one outside ALLOWED_EMAILS."""
    server.add_user("anna")
    server.add_user("eve", mail="boss@example.org")
    server.add_user("bert")
    use_directory()
    local = make_user("editor", "anna@example.org", username="anna")
    make_user("owner", "boss@example.org", password=None)

    assert fail("ldaptest", "anna").startswith("A local account with a password has this name")
    assert fail("ldaptest", "eve").startswith("An account with this email address exists")
    User.objects.filter(pk=local.pk).update(password="!", last_login=local.created_at)
    assert "the account anna@example.org has this address; it is" in run("ldaptest", "anna")
    assert not ExternalIdentity.objects.exists()
    with override_settings(ALLOWED_EMAILS=("*@example.com",)):
        assert fail("ldaptest", "bert").startswith("ALLOWED_EMAILS does not contain")


def test_ldaptest_reports_disabled_accounts(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    dn = server.add_user("anna")
    use_directory()
    sign_in("anna")
    before = User.objects.get()
    User.objects.update(is_active=False)
    assert fail("ldaptest", "anna").startswith("The account may not sign in here.")

    server.set_state(dn, "userAccountControl", "514")

    assert fail("ldaptest", "anna").startswith("The directory says that this account is disabled")
    after = User.objects.get()
    assert after.credentials_valid_from == before.credentials_valid_from
    assert after.sessions.count() == 1


def test_ldaptest_reports_an_unreachable_server_and_a_missing_configuration(
    use_directory: UseDirectory,
) -> None:
    assert fail("ldaptest").startswith("No directory is configured.")
    use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")
    assert fail("ldaptest").startswith("The server does not answer.")


def test_syncldap_only_reports_without_apply(server: DirectoryServer, people: list[str]) -> None:
    server.delete(people[0])

    said = run("syncldap")

    assert "10 active accounts, 9 in the directory." in said
    assert "person0@example.org: not in the directory any more" in said
    assert User.objects.filter(is_active=False).count() == 0


def test_syncldap_disables_removed_and_no_longer_matching_users(
    server: DirectoryServer, people: list[str]
) -> None:
    server.delete(people[0])
    server.replace(f"cn=staff,{GROUPS}", member=people[2:])

    said = run("syncldap", "--apply", "--max-percent", "20")

    gone = User.objects.filter(is_active=False).order_by("email")
    assert [user.email for user in gone] == ["person0@example.org", "person1@example.org"]
    assert [user.sessions.count() for user in gone] == [0, 0]
    assert "2 disabled, 0 roles changed." in said
    assert AuditEvent.objects.filter(action="account:user:disable").count() == 2
    assert AuditEvent.objects.filter(action="account:directory:sync").count() == 1


def test_syncldap_changes_roles(
    server: DirectoryServer, people: list[str], use_directory: UseDirectory
) -> None:
    server.add_group("admins", people[3])
    use_directory(LDAP_ROLES_MAPPING='{"admins": "admin"}', LDAP_DEFAULT_ACCESS="viewer")

    assert "10 roles changed" in run("syncldap", "--apply")
    assert User.objects.get(email="person3@example.org").role == "admin"
    assert User.objects.filter(role="viewer").count() == 9
    assert "10 roles restored" in run("syncldap", "--undo")
    assert User.objects.filter(role="editor").count() == 10


def test_more_changes_than_the_cap_are_rejected(server: DirectoryServer, people: list[str]) -> None:
    for dn in people[:2]:
        server.delete(dn)

    said = fail("syncldap", "--apply")

    assert said.startswith("2 of 10 people would be disabled, more than 10 %.")
    assert said.endswith("--max-percent 20.")
    assert User.objects.filter(is_active=False).count() == 0
    assert "2 disabled" in run("syncldap", "--apply", "--max-percent", "20")


def test_undo_enables_only_users_disabled_by_the_last_run(
    server: DirectoryServer, people: list[str], make_user: MakeUser
) -> None:
    by_hand = make_user("viewer", is_active=False)
    server.delete(people[0])
    run("syncldap", "--apply")

    assert "1 enabled again, 0 roles restored." in run("syncldap", "--undo")

    by_hand.refresh_from_db()
    assert by_hand.is_active is False
    assert User.objects.filter(is_active=False).count() == 1
    assert fail("syncldap", "--undo") == "There is no run that could be undone."


def test_undo_skips_users_disabled_by_an_administrator_since(
    server: DirectoryServer, people: list[str]
) -> None:
    server.delete(people[0])
    run("syncldap", "--apply")
    call_command("enableuser", "person0@example.org", stdout=io.StringIO())
    call_command("disableuser", "person0@example.org", stdout=io.StringIO())

    assert "0 enabled again" in run("syncldap", "--undo")


def test_an_error_or_empty_result_never_counts_as_removed(
    server: DirectoryServer, people: list[str], use_directory: UseDirectory
) -> None:
    """F19."""
    use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")
    assert "Nothing was done." in fail("syncldap", "--apply", "--max-percent", "100")
    use_directory(LDAP_SEARCH_FILTER="(telexNumber={username})")
    assert "returns no entries at all" in fail("syncldap", "--apply", "--max-percent", "100")
    assert User.objects.filter(is_active=False).count() == 0


def test_the_last_owner_is_never_disabled(server: DirectoryServer, people: list[str]) -> None:
    User.objects.filter(email="person0@example.org").update(role="owner")
    server.delete(people[0])

    said = run("syncldap", "--apply")

    assert "0 disabled, 0 roles changed, 1 kept as the last owner." in said
    assert User.objects.filter(is_active=False).count() == 0


def test_many_users_are_compared_in_pages(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    users = [User(email=f"u{number}@example.org", password="!") for number in range(1201)]
    User.objects.bulk_create(users)
    ExternalIdentity.objects.bulk_create(
        ExternalIdentity(user=user, provider="ldap", subject=f"id:u{number}")
        for number, user in enumerate(users)
    )
    handle = server.as_root()
    for number in range(1200):
        values = [("objectClass", [b"inetOrgPerson"]), ("cn", [b"x"]), ("sn", [b"x"])]
        handle.add_s(f"uid=u{number},{USERS}", [*values, ("uid", [f"u{number}".encode()])])
    handle.unbind_s()
    directory = use_directory(LDAP_ID="uid")

    planned = sync.plan(directory)

    # The id of the server overrides LDAP_ID, so these identities match no user.
    assert (planned.total, planned.found, len(planned.disables)) == (1201, 0, 1201)
    read: list[int] = []
    sync.plan(directory, progress=read.append)
    assert read == [500, 500, 200]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("userAccountControl", "514"),
        ("accountExpires", "132000000000000000"),
        ("lockoutTime", "133000000000000000"),
        ("nsAccountLock", "true"),
        ("shadowExpire", "1"),
        ("pwdAccountLockedTime", "000001010000Z"),
    ],
)
def test_users_disabled_in_the_directory_count_as_removed(
    server: DirectoryServer, people: list[str], name: str, value: str
) -> None:
    server.set_state(people[0], name, value)

    planned = sync.plan(settings.LDAP)
    ended = sync.sync_live()
    live = User.objects.get(email="person0@example.org")
    said = run("syncldap", "--apply")

    ((change,), user) = planned.disables, User.objects.get(email="person0@example.org")
    assert name in change.reason
    assert (ended, live.is_active, live.sessions.count()) == (1, True, 0)
    assert "1 disabled, 0 roles changed." in said
    assert (user.is_active, User.objects.filter(is_active=True).count()) == (False, 9)


def test_live_sessions_end_or_are_lowered_within_five_minutes(
    server: DirectoryServer,
    people: list[str],
    use_directory: UseDirectory,
    at_time: Callable[[timedelta], Any],
) -> None:
    """A111."""
    server.delete(people[0])
    use_directory(LDAP_ROLES_MAPPING='{"other": "admin"}', LDAP_DEFAULT_ACCESS="viewer")

    done = sync.sync_live()

    gone = User.objects.get(email="person0@example.org")
    assert done == 10
    assert (gone.is_active, gone.sessions.count(), gone.role) == (True, 0, "editor")
    assert User.objects.filter(role="viewer").count() == 9
    assert sync.sync_live() == 0


def test_ended_users_are_not_processed_again(server: DirectoryServer, people: list[str]) -> None:
    server.delete(people[0])
    sync.sync_live()
    before = AuditEvent.objects.count()
    sync.caches["counters"].delete("ldap-sync-live")

    assert sync.sync_live() == 0
    assert AuditEvent.objects.count() == before


def test_without_a_directory_the_worker_does_nothing(db: None) -> None:
    assert sync.sync_live() == 0


# A freed address that a colleague gets


def links_to(email: str) -> int:
    """Ask for a link; how many were mailed there."""
    EmailRequest.objects.create(kind="magic-link", email=email, language="en")
    handle_link_requests()
    return OutboxMail.objects.filter(kind="magic-link", recipient=email).count()


def test_syncldap_updates_addresses_and_names(server: DirectoryServer, people: list[str]) -> None:
    user = User.objects.get(email="person0@example.org")
    server.replace(people[0], mail="new0@example.org", displayName="Person Null")

    said = run("syncldap")
    done = run("syncldap", "--apply")

    user.refresh_from_db()
    assert "profile  person0@example.org: email and name changed there" in said
    assert "0 disabled, 0 roles changed, 1 addresses or names updated." in done
    assert (user.email, user.name, user.is_verified) == ("new0@example.org", "Person Null", True)
    mails = OutboxMail.objects.filter(kind="email-changed").values_list("recipient", flat=True)
    assert sorted(mails) == ["new0@example.org", "person0@example.org"]
    assert AuditEvent.objects.filter(action="account:email:change", target_id=user.pk).count() == 1
    assert "No changes needed." in run("syncldap")


def test_swapped_addresses_are_applied_in_one_run(
    server: DirectoryServer, people: list[str]
) -> None:
    first, second = (
        User.objects.get(email="person0@example.org"),
        User.objects.get(email="person1@example.org"),
    )
    server.replace(people[0], mail="person1@example.org")
    server.replace(people[1], mail="elsewhere@example.org")

    run("syncldap", "--apply")

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.email, second.email) == ("person1@example.org", "elsewhere@example.org")


def test_a_user_deleted_during_a_run_does_not_stop_it(
    server: DirectoryServer, people: list[str]
) -> None:
    for number in (0, 1):
        server.delete(people[number])
        server.replace(people[number + 2], mail=f"new{number}@example.org")

    planned = sync.plan(settings.LDAP)
    User.objects.filter(email__in=["person0@example.org", "person2@example.org"]).delete()
    outcome = sync.apply(planned)

    assert (outcome.disabled, outcome.profiles, outcome.kept) == (1, 1, 0)
    assert [user.email for user in User.objects.filter(is_active=False)] == ["person1@example.org"]
    assert User.objects.filter(email="new1@example.org").exists()


def test_active_users_get_their_new_address_within_five_minutes(
    server: DirectoryServer, people: list[str]
) -> None:
    server.replace(people[0], mail="new0@example.org")

    assert sync.sync_live() == 1
    assert User.objects.filter(email="new0@example.org").exists()


def test_before_a_sync_no_link_goes_to_a_reassigned_address(
    server: DirectoryServer, people: list[str], sign_in: SignIn
) -> None:
    """The colleague has the mailbox; the account of it is still the other's here."""
    user = User.objects.get(email="person0@example.org")
    server.replace(people[0], mail="new0@example.org")
    server.add_user("colleague", mail="person0@example.org")

    links_to("person0@example.org")

    user.refresh_from_db()
    assert user.email == "new0@example.org"
    assert not LoginLink.objects.filter(user=user).exists()
    assert links_to("new0@example.org") == 1
    assert LoginLink.objects.get(user=user).email == "new0@example.org"


def test_a_user_with_a_reassigned_address_signs_in_before_a_sync(
    server: DirectoryServer, people: list[str], sign_in: SignIn
) -> None:
    user = User.objects.get(email="person0@example.org")
    server.replace(people[0], mail="new0@example.org")
    colleague = server.add_user("colleague", mail="person0@example.org")
    server.replace(f"cn=staff,{GROUPS}", member=[*people, colleague])

    assert sign_in("colleague").status_code == 302

    user.refresh_from_db()
    assert user.email == "new0@example.org"
    assert User.objects.get(email="person0@example.org").pk != user.pk
    assert links_to("person0@example.org") == 1


def test_the_address_of_a_removed_user_can_be_reassigned(
    server: DirectoryServer, people: list[str], sign_in: SignIn
) -> None:
    user = User.objects.get(email="person0@example.org")
    server.delete(people[0])
    colleague = server.add_user("colleague", mail="person0@example.org")
    server.replace(f"cn=staff,{GROUPS}", member=[*people[1:], colleague])

    assert sign_in("colleague").status_code == 302

    user.refresh_from_db()
    assert (user.email.endswith("@users.invalid"), user.is_verified) == (True, False)
    assert AuditEvent.objects.filter(action="account:email:release", target_id=user.pk).count() == 1


def test_the_address_of_a_removed_administrator_is_not_reassigned(
    server: DirectoryServer, people: list[str], sign_in: SignIn
) -> None:
    User.objects.filter(email="person0@example.org").update(role="admin")
    server.delete(people[0])
    colleague = server.add_user("colleague", mail="person0@example.org")
    server.replace(f"cn=staff,{GROUPS}", member=[*people[1:], colleague])

    assert sign_in("colleague").status_code == 403
    assert User.objects.get(email="person0@example.org").role == "admin"


def test_removed_or_disabled_users_get_no_link(
    server: DirectoryServer, people: list[str], use_directory: UseDirectory
) -> None:
    server.delete(people[0])
    server.set_state(people[1], "userAccountControl", "514")

    assert links_to("person0@example.org") == links_to("person1@example.org") == 0
    assert links_to("person2@example.org") == 1
    use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")
    assert links_to("person3@example.org") == 0


def test_doctor_checks_the_directory(
    server: DirectoryServer, people: list[str], use_directory: UseDirectory
) -> None:
    use_directory()
    assert list(directory_faults()) == []

    use_directory(LDAP_BIND_PASSWORD="wrong")
    (wrong,) = directory_faults()
    use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")
    (dead,) = directory_faults()

    assert wrong.text.startswith("Directory: ")
    assert "LDAP_BIND" in wrong.fix
    assert dead.text.startswith("Directory: The server does not answer.")
    assert dead.fix.startswith("Check host and port of LDAP_URL")
