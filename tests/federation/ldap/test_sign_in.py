"""Sign-in with a directory password: CONTRACT 9, TRAPS 37-41, ATTACKS A107-A113."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ldap
import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import users
from accounts.services.invitations import invite
from accounts.services.signup import create_unverified_user
from accounts.services.users import Profile
from audit.models import AuditEvent
from core import tracing
from core.errors import RecordInvalid
from core.text.email_addresses import limit_key
from federation.ldap.backend import LDAPBackend
from federation.ldap.connection import Connection, opened
from federation.ldap.failures import DirectoryError
from federation.models import ExternalIdentity, PausedProvider
from federation.services.switching import LocksOwnersOut, switch_off, switch_on
from tests.conftest import MakeUser
from tests.federation.ldap.conftest import SignIn, UseDirectory
from tests.servers.ldap import (
    GROUPS,
    PASSWORD,
    SERVICE_DN,
    SERVICE_PASSWORD,
    USERS,
    DirectoryServer,
)
from tests.tracing.recording import recording

pytestmark = pytest.mark.django_db
SORRY = "The email address or password is incorrect."
FILTER = "(&(objectClass=groupOfNames)(cn=staff)(member={user_dn}))"


def who() -> User:
    return User.objects.get(identities__provider="ldap")


def test_a_directory_user_signs_in_and_gets_an_account(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna", displayName="Anna Ångström")
    use_directory()

    answer = sign_in("anna")

    user = who()
    assert answer.status_code == 302
    assert (user.email, user.username, user.name) == ("anna@example.org", "anna", "Anna Ångström")
    assert (user.role, user.is_verified, user.has_usable_password()) == ("none", True, False)
    assert answer.client.get("/account/").status_code == 200
    event = AuditEvent.objects.filter(action="account:session:start").get()
    assert (event.result, event.detail["methods"]) == ("success", ["ldap"])


def test_a_second_sign_in_uses_the_same_account(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory()

    sign_in("anna")
    sign_in("ANNA@example.org ")

    assert ExternalIdentity.objects.count() == User.objects.count() == 1


def test_a_user_keeps_the_account_with_a_new_name_and_address(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    dn = server.add_user("anna")
    use_directory()
    sign_in("anna")
    handle = server.as_root()
    handle.rename_s(dn, "uid=anna.berg")
    handle.unbind_s()
    server.replace(f"uid=anna.berg,{USERS}", mail="anna.berg@example.org")

    assert sign_in("anna.berg").status_code == 302
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("password", "status"),
    [("wrong", 401), (" ", 401), ("*", 401), ("\x00", 400), (f"{PASSWORD}\x00", 400)],
)
def test_a_wrong_password_is_rejected(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    password: str,
    status: int,
) -> None:
    server.add_user("anna")
    use_directory()

    answer = sign_in("anna", password)

    assert answer.status_code == status
    assert answer.client.get("/account/").status_code == 302
    assert User.objects.count() == 0


def test_an_empty_password_is_never_sent(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    dn = server.add_user("anna")
    directory = use_directory()

    with opened(directory) as connection:
        assert connection.bind(dn, "") is False
        assert connection.bind("", PASSWORD) is False
        assert connection.bind(dn, PASSWORD) is True
    assert authenticate(None, login="anna", password="") is None


@pytest.mark.parametrize(
    "login",
    [
        "*",
        "an*",
        "*)(uid=*",
        "anna)(|(uid=*",
        "anna)(objectClass=*",
        "\\2a",
        "an\\6ea",
        "#anna",
        "anna,ou=x",
        f"uid=anna,{USERS}",
        "a" * 10_000,
        "an\x00na",
        "anna\x00",
        "an\u200bna",
    ],
)
def test_a_login_with_filter_syntax_matches_no_one(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, login: str
) -> None:
    """A107."""
    server.add_user("anna")
    use_directory()

    assert sign_in(login).status_code == (400 if len(login) > 254 or "\x00" in login else 401)
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    "uid",
    ["o(neil)", "a*b", "a\\b", "ber,g", "müller", "王小明", "a+b=c", 'q"q', "a;b", "<x>", "#x"],
)
def test_users_with_special_characters_sign_in(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, uid: str
) -> None:
    dn = server.add_user(uid, mail="odd@example.org")
    server.add_group("staff", dn)
    server.add_user("other")
    use_directory(
        LDAP_AUTHORIZATION_FILTER=FILTER,
        LDAP_GROUP_SEARCH_FILTER="(member={user_dn})",
        LDAP_ROLES_MAPPING='{"staff": "editor"}',
    )

    assert sign_in(uid).status_code == 302
    assert who().role == "editor"


def test_wrong_password_and_unknown_login_have_the_same_response(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, viewer: User
) -> None:
    server.add_user("anna")
    use_directory()

    answers = [sign_in(name, "wrong password") for name in ("anna", "nobody", viewer.email)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert all(SORRY in answer.content.decode() for answer in answers)
    refused = AuditEvent.objects.filter(action="account:session:start", result="refused")
    assert refused.count() == 3


def test_several_matches_are_rejected(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    for uid in ("anna", "bert", "carl"):
        server.add_user(uid, mail="team@example.org")
    use_directory()

    assert sign_in("team@example.org").status_code == 401
    server.delete(f"uid=carl,{USERS}")
    assert sign_in("team@example.org").status_code == 401
    server.delete(f"uid=bert,{USERS}")
    assert sign_in("team@example.org").status_code == 302


@pytest.mark.parametrize("login", ["root", "ROOT", "Root ", "root@example.org"])
def test_an_entry_with_the_name_of_a_local_account_never_signs_in_to_it(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    make_user: MakeUser,
    login: str,
) -> None:
    """A109."""
    root = make_user("owner", "root@example.org", username="root", password="another long phrase")
    server.add_user("root")
    use_directory()

    assert sign_in(login).status_code == 401
    assert root.identities.count() == 0
    assert User.objects.count() == 1


@pytest.mark.parametrize("has_signed_in_before", [True, False])
@pytest.mark.parametrize("role", ["owner", "admin"])
def test_an_entry_with_the_address_of_an_administrator_never_signs_in_to_it(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    make_user: MakeUser,
    role: str,
    has_signed_in_before: bool,
) -> None:
    """A user without a password, who uses links, or whose account was created in advance."""
    boss = make_user(role, "boss@example.org", password=None)
    if has_signed_in_before:
        User.objects.update(last_login=boss.created_at)
    server.add_user("eve", mail="boss@example.org")
    use_directory()

    answer = sign_in("eve")

    assert answer.status_code == 403
    assert "An account with your email address already exists" in answer.content.decode()
    assert boss.identities.count() == 0


def test_two_entries_with_one_address_are_never_one_account(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    server.add_user("eve", mail="anna@example.org")
    use_directory()

    assert sign_in("anna").status_code == 302
    assert sign_in("eve").status_code == 403
    assert ExternalIdentity.objects.count() == 1


def test_a_verified_address_connects_an_account_without_password(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, make_user: MakeUser
) -> None:
    anna = make_user("editor", "anna@example.org", password=None)
    User.objects.update(last_login=anna.created_at)
    server.add_user("anna")
    use_directory(LDAP_EMAIL_IS_PROVED="false")
    assert sign_in("anna").status_code == 403

    use_directory()

    assert sign_in("anna").status_code == 302
    assert anna.identities.count() == 1


def test_a_user_without_an_address_signs_in(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna", mail=None)
    use_directory()

    assert sign_in("anna").client.get("/account/").status_code == 200
    assert who().email.endswith("@users.invalid")


def test_directory_users_have_no_local_password(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory()
    sign_in("anna")
    user = who()
    user.set_password("a local phrase of length")
    user.save()

    assert sign_in("anna", "a local phrase of length").status_code == 401
    assert sign_in("anna").status_code == 302


def test_directory_users_cannot_disconnect_the_directory(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory()
    client = sign_in("anna").client
    path = f"/account/identities/{ExternalIdentity.objects.get().pk}/disconnect"

    assert "Kept by the directory" in client.get("/account/").content.decode()
    assert client.get(path).status_code == 404
    assert client.post(path).status_code == 404
    assert ExternalIdentity.objects.count() == 1


def test_with_only_the_directory_local_passwords_work_only_for_owners(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    owner: User,
    admin: User,
) -> None:
    use_directory(AUTHENTICATION_MODE="ldap")

    assert sign_in(admin.email).status_code == 401
    assert sign_in(owner.email).status_code == 302


def test_a_disabled_account_is_denied_with_the_right_password(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory()
    sign_in("anna")
    User.objects.update(is_active=False)

    answer = sign_in("anna")

    assert answer.client.get("/account/").status_code == 302


def test_without_a_directory_its_users_cannot_sign_in(
    server: DirectoryServer, sign_in: SignIn
) -> None:
    server.add_user("anna")

    assert sign_in("anna").status_code == 401


def test_the_authorization_filter_denies_users_and_ends_their_sessions(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    anna, bert = server.add_user("anna"), server.add_user("bert")
    server.add_group("staff", anna)
    use_directory(LDAP_AUTHORIZATION_FILTER=FILTER)
    inside = sign_in("anna")

    refused = sign_in("bert")
    server.replace(f"cn=staff,{GROUPS}", member=bert)
    again = sign_in("anna")

    assert (inside.status_code, refused.status_code, again.status_code) == (302, 403, 403)
    assert "does not have the access that is required here" in refused.content.decode()
    assert inside.client.get("/account/").status_code == 302
    assert User.objects.count() == 1


DISABLED_STATES = [
    ("userAccountControl", "514"),
    ("userAccountControl", "66050"),
    ("userAccountControl", "what?"),
    ("accountExpires", "132000000000000000"),
    ("lockoutTime", "133000000000000000"),
    ("msDS-User-Account-Control-Computed", "16"),
    ("nsAccountLock", "TRUE"),
    ("nsAccountLock", "true"),
    ("shadowExpire", "1"),
    ("shadowExpire", "19000"),
    ("krbPrincipalExpiration", "20200101000000Z"),
    ("loginDisabled", "TRUE"),
    ("inetUserStatus", "inactive"),
    ("pwdEndTime", "20200101000000Z"),
]
OPEN = [
    ("userAccountControl", "512"),
    ("userAccountControl", "66048"),
    ("accountExpires", "0"),
    ("accountExpires", "9223372036854775807"),
    ("accountExpires", "199999999999999999"),
    ("lockoutTime", "0"),
    ("msDS-User-Account-Control-Computed", "8388608"),
    ("nsAccountLock", "FALSE"),
    ("shadowExpire", "-1"),
    ("shadowExpire", "99999"),
    ("krbPrincipalExpiration", "29990101000000Z"),
    ("loginDisabled", "FALSE"),
    ("inetUserStatus", "Active"),
]


@pytest.mark.parametrize(("name", "value"), DISABLED_STATES)
def test_a_user_disabled_in_the_directory_is_denied_and_signed_out(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    name: str,
    value: str,
) -> None:
    anna = server.add_user("anna")
    use_directory()
    inside = sign_in("anna")
    server.set_state(anna, name, value)

    again = sign_in("anna")

    assert (inside.status_code, again.status_code) == (302, 403)
    assert "disabled, expired or locked in the directory" in again.content.decode()
    assert inside.client.get("/account/").status_code == 302
    assert again.client.get("/account/").status_code == 302
    event = AuditEvent.objects.filter(action="account:session:start").latest("seq")
    assert event.result == "refused"
    assert name in event.detail["reason"]


@pytest.mark.parametrize(("name", "value"), DISABLED_STATES[:1])
def test_a_user_disabled_in_the_directory_gets_no_account_or_token(
    server: DirectoryServer, use_directory: UseDirectory, client: Client, name: str, value: str
) -> None:
    server.set_state(server.add_user("anna"), name, value)
    use_directory()

    answer = client.post(
        "/api/v1/auth/token",
        {"email": "anna", "password": PASSWORD},
        content_type="application/json",
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    assert not User.objects.exists()


@pytest.mark.parametrize(("name", "value"), OPEN)
def test_a_user_enabled_in_the_directory_signs_in(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    name: str,
    value: str,
) -> None:
    server.set_state(server.add_user("anna"), name, value)
    use_directory()

    assert sign_in("anna").status_code == 302


def test_a_wrong_password_does_not_reveal_a_disabled_user(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.set_state(server.add_user("anna"), "userAccountControl", "514")
    use_directory()

    assert sign_in("anna", "wrong").status_code == 401


def test_an_expired_lockout_does_not_deny_the_user(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    """OpenLDAP keeps the time of an ended lock until the next sign-in there."""
    anna = server.add_user("anna")
    server.lock_once(anna, since=timezone.now() - timedelta(hours=1), seconds=1)
    use_directory()

    assert sign_in("anna").status_code == 302


def test_a_wrong_password_does_not_reveal_the_authorization(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("bert")
    use_directory(LDAP_AUTHORIZATION_FILTER=FILTER)

    assert sign_in("bert", "wrong").status_code == 401


def test_directory_sign_ins_are_rate_limited(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, settings: object
) -> None:
    server.add_user("anna")
    use_directory()
    client = Client()

    codes = [sign_in("anna", "wrong", client).status_code for _ in range(8)]

    assert codes == [401] * 7 + [429]


def test_the_api_issues_tokens_for_a_directory_password(
    server: DirectoryServer, use_directory: UseDirectory, client: Client
) -> None:
    anna = server.add_user("anna")
    server.add_group("staff", anna)
    use_directory(LDAP_ROLES_MAPPING='{"staff": "editor"}')

    def ask(password: str) -> int:
        body = {"email": "anna", "password": password}
        answer = client.post("/api/v1/auth/token", body, content_type="application/json")
        return answer.status_code

    assert (ask(PASSWORD), ask("wrong")) == (200, 401)
    server.replace(f"cn=staff,{GROUPS}", member=GROUPS)
    assert ask(PASSWORD) == 200
    assert who().role == "none"


def test_there_is_no_endpoint_that_tests_the_directory(client: Client, admin: User) -> None:
    """A117: no page and no endpoint does it, so no client can probe the directory."""
    client.force_login(admin)
    for path in ("/ldaptest", "/api/v1/ldap", "/api/v1/ldap/test", "/admin/ldap/"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(("role", "state", "got"), [("editor", "used", "editor"),
                                                    ("admin", "live", "none")])  # fmt: skip
@pytest.mark.parametrize("is_known", [False, True])
def test_an_invited_user_keeps_the_role_and_no_entry_creates_administrators(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    owner: User,
    role: str,
    state: str,
    got: str,
    is_known: bool,
) -> None:
    server.add_user("anna")
    use_directory(LDAP_ROLES_MAPPING='{"cn=nobody,dc=example,dc=org": "viewer"}',
                  UPDATE_ROLES_ON_LOGIN="1")  # fmt: skip
    issued = invite(actor=owner, email="anna@example.org", role=role)
    if is_known:
        create_unverified_user("anna@example.org")

    for _turn in range(2):
        sign_in("anna")

    user = User.objects.get(email="anna@example.org")
    issued.invitation.refresh_from_db()
    assert issued.invitation.state(timezone.now()) == state
    if is_known and role == "admin":
        assert (user.role, user.is_verified, user.identities.count()) == ("viewer", False, 0)
    else:
        assert user.role == got


# A local account does not lock out a directory user


def test_a_local_account_cannot_take_a_directory_user_name(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    owner: User,
    viewer: User,
    browser_of: Callable[[User], Client],
) -> None:
    server.add_user("anna")
    use_directory()

    with pytest.raises(RecordInvalid) as refused:
        users.create_user(actor=owner, email="x@example.com", username="Anna")
    assert list(refused.value.errors) == ["username"]
    with pytest.raises(RecordInvalid):
        users.edit_profile(actor=viewer, user=viewer, profile=Profile(username="anna"))
    browser = browser_of(User.objects.get(pk=viewer.pk))
    page = browser.post("/account/", {"name": "Vera", "username": "anna"})

    assert page.status_code == 400
    assert not User.objects.filter(username="anna").exists()
    assert sign_in("anna").status_code == 302
    assert who().username == "anna"


def test_other_user_names_and_the_own_one_are_allowed(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, viewer: User, owner: User
) -> None:
    server.add_user("anna")
    use_directory()
    sign_in("anna")
    anna = who()

    users.edit_profile(actor=viewer, user=viewer, profile=Profile(username="vera2"))
    users.edit_profile(actor=owner, user=anna, profile=Profile(username=""))
    users.edit_profile(actor=owner, user=anna, profile=Profile(username="anna"))
    server.add_user("vera2")
    users.edit_profile(actor=viewer, user=viewer, profile=Profile(name="V.", username="vera2"))

    assert User.objects.get(pk=viewer.pk).username == "vera2"
    assert who().username == "anna"


def test_no_user_name_is_assigned_while_the_directory_is_down(
    use_directory: UseDirectory, silent_server, viewer: User
) -> None:
    use_directory(LDAP_URL="ldap://127.0.0.1:1")

    with pytest.raises(RecordInvalid) as refused:
        users.edit_profile(actor=viewer, user=viewer, profile=Profile(username="vera2"))

    assert "does not answer" in refused.value.errors["username"][0]
    assert User.objects.get(pk=viewer.pk).username == "vera"


@pytest.mark.parametrize(
    "typed", ["CORP\\anna", "corp.example\\ANNA", "anna@corp.example", "Anna@CORP.example"]
)
def test_windows_style_logins_are_accepted(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, typed: str
) -> None:
    server.set_state(server.add_user("anna"), "userPrincipalName", "anna@corp.example")
    use_directory()

    assert sign_in(typed).status_code == 302
    assert who().email == "anna@example.org"


def test_an_invented_domain_gives_no_more_attempts() -> None:
    keys = {limit_key(name) for name in ("anna", "A\\anna", "b\\Anna", "CORP\\anna ")}

    assert keys == {"anna"}


def test_both_names_of_the_setting_verify_addresses(use_directory: UseDirectory) -> None:
    assert use_directory(LDAP_TRUST_EMAIL="false").email_is_verified is False
    assert use_directory(LDAP_EMAIL_IS_PROVED="false").email_is_verified is False
    assert use_directory().email_is_verified is True


# The backend of django-auth-ldap


def test_djangos_authenticate_uses_the_directory_and_the_access_policy(
    server: DirectoryServer, use_directory: UseDirectory, db: None
) -> None:
    server.add_user("anna")
    use_directory()

    user = authenticate(None, username="anna", password=PASSWORD)

    assert user == who()
    assert authenticate(None, username="anna", password="wrong") is None
    User.objects.update(is_active=False)
    assert authenticate(None, username="anna", password=PASSWORD) is None


def test_groups_are_read_as_the_service_account_after_the_users_bind(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    """People of this server may read nothing, their own groups included."""
    server.add_group("staff", server.add_user("anna"))
    use_directory(
        LDAP_GROUP_SEARCH_FILTER="(member={user_dn})", LDAP_ROLES_MAPPING='{"staff": "editor"}'
    )

    assert sign_in("anna").status_code == 302
    assert who().role == "editor"


def test_a_connection_without_service_account_is_anonymous_again_after_a_bind(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    server.add_user("anna")
    config = use_directory()

    with opened(config) as connection:
        connection.simple_bind_s("", "")  # nothing to send: it is anonymous
        connection.simple_bind_s(SERVICE_DN, SERVICE_PASSWORD)
        seen = connection.search(USERS, "(uid=anna)", ["uid"])
        connection.simple_bind_s("", "")
        with pytest.raises(DirectoryError):
            connection.search(USERS, "(uid=anna)", ["uid"])

    assert len(seen) == 1


def test_a_server_may_reject_anonymous_binds_but_allow_anonymous_searches(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    config = use_directory()

    with opened(config) as connection:
        connection.simple_bind_s(SERVICE_DN, SERVICE_PASSWORD)
        connection._handle = RefusingAnonymous(connection._handle)
        connection.simple_bind_s("", "")

        assert connection.bind(SERVICE_DN, SERVICE_PASSWORD) is True


class RefusingAnonymous:
    """A handle of a server with `disallow bind_anon`."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def simple_bind(self, dn: str, password: str) -> Any:
        if not dn:
            raise ldap.INAPPROPRIATE_AUTH
        return self.handle.simple_bind(dn, password)


def test_an_error_after_the_right_password_is_not_a_wrong_password(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory(LDAP_GROUP_SEARCH_FILTER="(member={user_dn})", LDAP_GROUP_BASE_DN="ou=x,dc=y")

    assert sign_in("anna").status_code == 503
    assert sign_in("anna", "wrong").status_code == 401


def test_unknown_local_and_known_logins_take_the_same_work(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    viewer: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Timing must not reveal which logins exist, and where."""
    server.add_user("anna")
    use_directory()
    work: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        real = getattr(Connection, name)
        return lambda self, *given, **more: (work.append(name), real(self, *given, **more))[1]

    for name in ("__init__", "bind", "search"):
        monkeypatch.setattr(Connection, name, counted(name))
    hashes = User.set_password, User.check_password
    monkeypatch.setattr(User, "set_password", lambda *one: (work.append("hash"), hashes[0](*one)))
    monkeypatch.setattr(
        User, "check_password", lambda *one: (work.append("hash"), hashes[1](*one))[1]
    )

    done = {}
    for login in ("anna", "nobody", viewer.username):
        work.clear()
        assert sign_in(login, "wrong").status_code == 401
        done[login] = list(work)

    expected = ["hash", "__init__", "bind", "search", "bind"]
    assert done == dict.fromkeys(done, expected)
    assert len(done) == 3


def test_while_the_directory_is_switched_off_it_signs_no_one_in(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, owner: User
) -> None:
    server.add_user("anna")
    use_directory()
    switch_off(actor=owner, provider_id="ldap")

    answer = sign_in("anna")

    assert SORRY in answer.content.decode()
    assert not ExternalIdentity.objects.exists()
    assert answer.client.get("/account/").status_code == 302
    switch_on(actor=owner, provider_id="ldap")
    assert sign_in("anna").status_code == 302
    assert who().email == "anna@example.org"


def test_a_password_that_was_verified_before_the_switch_signs_no_one_in(
    server: DirectoryServer,
    use_directory: UseDirectory,
    sign_in: SignIn,
    owner: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add_user("anna")
    use_directory()
    real = LDAPBackend.verify_password

    def slow(backend: LDAPBackend, ldap_user: Any, password: str) -> User | None:
        switch_off(actor=owner, provider_id="ldap")
        return real(backend, ldap_user, password)

    monkeypatch.setattr(LDAPBackend, "verify_password", slow)
    answer = sign_in("anna")

    assert "is switched off" in answer.content.decode()
    assert not ExternalIdentity.objects.exists()


def test_the_directory_of_an_owner_without_another_way_stays_on(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, owner: User
) -> None:
    server.add_user("anna")
    use_directory()
    sign_in("anna")
    users.change_role(actor=owner, user=who(), role="owner")

    with pytest.raises(LocksOwnersOut, match=r"anna@example\.org"):
        switch_off(actor=owner, provider_id="ldap")

    assert not PausedProvider.objects.exists()


def test_a_trace_has_each_step_of_the_directory_and_no_name(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory()

    with recording() as found, tracing.span("sign-in", is_root=True):
        refused = sign_in("anna", "wrong password")
        accepted = sign_in("anna")

    assert (refused.status_code, accepted.status_code) == (401, 302)
    steps = [span for span in found.spans if span[0].startswith("LDAP")]
    assert {(kind, str(of), failed) for _name, kind, of, failed in steps} == {
        ("CLIENT", "{}", False)
    }
    assert [name for name, *_rest in steps][:4] == [
        "LDAP connect",
        "LDAP bind",
        "LDAP search",
        "LDAP bind",
    ]
    assert "anna" not in found.text()
    assert PASSWORD not in found.text()
