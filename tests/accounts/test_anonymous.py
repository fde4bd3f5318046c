"""Without sign-in: CONTRACT section 10, ATTACKS A155, and who gets the data afterwards."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import access_policy, ownership
from accounts.actors import ANONYMOUS_EMAIL, ANONYMOUS_ID, SYSTEM
from accounts.models import BrowserSession, User
from accounts.roles import Role
from accounts.services import passwords, sessions, signup, users, verification
from accounts.services.first_run import ensure_owner, issue_setup_link
from api.apikeys import services
from api.models import ApiKey
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from federation.providers import SignInSource
from federation.services.identities import (
    AccountExists,
    EmailMissing,
    ExternalUserInfo,
    resolve_user,
)
from magiclinks.services import issue_link
from mail.models import OutboxMail
from moderation.services import bans
from tests.accounts.anonymous_mode import switch_off, switch_on
from tests.api.calls import API, call, problem

pytestmark = pytest.mark.django_db
PHRASE = "seven quiet rivers under glass"
FIRST = signup.SignUp("first@example.com", "First", PHRASE)
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
TEAM = "tests.accounts.team_urls"


@pytest.fixture
def anonymous(settings: Settings) -> User:
    """The anonymous user of a mode that is on."""
    return switch_on(settings)


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("seq"))


def made_key(browser: Client, **fields: Any) -> str:
    """A key that a visitor makes; its text."""
    answer = call(browser, "POST", "api-keys", {"name": "script", **fields})
    assert answer.status_code == 201, answer.content
    text: str = answer.json()["key"]
    return text


def use(key: str) -> Any:
    return Client().get(f"{API}/me", headers={"x-api-key": key})


# While it is off, see A155


def test_a_fresh_install_requires_sign_in(stranger: Client, settings: LazySettings) -> None:
    assert settings.ANONYMOUS_ROLE is None
    assert stranger.get("/account/")["Location"] == "/sign-in?next=/account/"
    assert problem(stranger.get(f"{API}/me")) == (401, "not_authenticated")
    assert b"No sign-in needed" not in stranger.get("/sign-in").content
    assert not User.all_objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"anonymous-mode": "true"},
        {"x-anonymous-mode": "true"},
        {"remote-user": ANONYMOUS_EMAIL},
        {"x-forwarded-user": ANONYMOUS_EMAIL, "x-forwarded-for": "127.0.0.1"},
        {"x-auth-request-user": str(ANONYMOUS_ID)},
    ],
)
def test_no_header_turns_sign_in_off(stranger: Client, headers: dict[str, str]) -> None:
    assert stranger.get("/account/", headers=headers).status_code == 302
    assert stranger.get(f"{API}/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "query", ["ANONYMOUS_MODE=true", "anonymous_mode=true", "anonymous=1", "AUTH_BACKEND=none"]
)
def test_no_query_parameter_turns_sign_in_off(stranger: Client, query: str) -> None:
    assert stranger.get(f"/account/?{query}").status_code == 302
    assert stranger.get(f"{API}/me?{query}").status_code == 401
    assert stranger.post(f"{API}/api-keys?{query}", {"name": "a"}).status_code == 401


def test_no_request_environment_turns_sign_in_off(owner: User, browser_of: Any) -> None:
    """No page or field changes it: only the settings of the server do."""
    browser = browser_of(owner)

    browser.post("/account/", {"name": "x", "ANONYMOUS_MODE": "true"})

    assert call(browser, "PATCH", "me", {"ANONYMOUS_MODE": True}).status_code == 402
    assert Client().get(f"{API}/me").status_code == 401


# On


def test_a_visitor_is_the_anonymous_user_at_the_api(stranger: Client, anonymous: User) -> None:
    answer = stranger.get(f"{API}/me")

    assert answer.status_code == 200
    assert answer.json()["id"] == str(ANONYMOUS_ID)
    assert answer.json()["email"] == ANONYMOUS_EMAIL
    assert answer.json()["role"] == "editor"


def test_a_visitor_sees_that_they_need_no_account(stranger: Client, anonymous: User) -> None:
    assert stranger.get("/")["Location"] == "/account/"
    page = stranger.get("/account/").content.decode()

    assert "You need no account here." in page
    assert "Anyone who can open this page can use it without an account, as Editor." in page
    assert ANONYMOUS_EMAIL not in page


def test_visitors_leave_no_rows(anonymous: User) -> None:
    for number in range(5):
        browser = Client(headers={"user-agent": f"browser {number}"})
        assert browser.get("/account/").status_code == 200
        assert browser.get(f"{API}/me").status_code == 200

    assert User.all_objects.count() == 1
    assert BrowserSession.objects.count() == 0


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.EDITOR, ["view", "add", "change", "delete"]), (Role.VIEWER, ["view"])],
)
def test_a_teams_app_sees_the_role(
    stranger: Client, settings: Settings, role: Role, may: list[str]
) -> None:
    settings.ROOT_URLCONF = TEAM
    assert stranger.get("/reports").status_code == 302
    switch_on(settings, role)

    answer = stranger.get("/reports")

    assert answer.json() == {"email": ANONYMOUS_EMAIL, "may": may, "is_staff": False}


def test_a_signed_in_user_keeps_their_own_account(
    viewer: User, browser_of: Any, anonymous: User, settings: Settings
) -> None:
    settings.ROOT_URLCONF = TEAM
    browser = browser_of(viewer)

    assert browser.get("/reports").json()["email"] == viewer.email
    assert browser.get(f"{API}/me").json()["email"] == viewer.email
    assert viewer.email in browser.get("/account/").content.decode()


def test_a_wrong_key_is_rejected_instead_of_becoming_anonymous(
    stranger: Client, anonymous: User
) -> None:
    for headers, code in (
        ({"x-api-key": "gth_nonsense"}, (403, "api_key_invalid")),
        ({"authorization": "Bearer nonsense"}, (401, "token_invalid")),
    ):
        assert problem(stranger.get(f"{API}/me", headers=headers)) == code


def test_sign_in_and_sign_up_stay_possible(
    stranger: Client, viewer: User, browser_of: Any, anonymous: User
) -> None:
    page = stranger.get("/sign-in")

    assert page.status_code == 200
    assert "No sign-in needed." in page.content.decode()
    assert stranger.get("/sign-up").status_code == 200
    assert browser_of(viewer).get("/account/").status_code == 200


# Banner


@pytest.mark.parametrize(
    "path", ["/account/", "/account/keys", "/sign-in", "/sign-up", "/password/forgot", "/nowhere"]
)
def test_every_page_says_so(stranger: Client, anonymous: User, path: str) -> None:
    page = stranger.get(path).content.decode()

    assert page.count('class="notice warn everybody"') == 1
    assert "ANONYMOUS_MODE" not in page


@pytest.mark.parametrize("path", ["/account/", "/admin/", "/admin/accounts/user/"])
def test_administrators_see_how_to_require_sign_in_again(
    owner: User, browser_of: Any, anonymous: User, path: str
) -> None:
    page = browser_of(owner).get(path).content.decode()

    assert page.count('class="notice warn everybody"') == 1
    assert "remove ANONYMOUS_MODE=true from the settings and restart" in page


def test_the_start_warns_that_sign_in_is_off(
    anonymous: User, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    call_command("serve", "--prepare-only")

    printed = capsys.readouterr().out
    assert "SIGN-IN IS OFF. Everyone who can open http://localhost:8000" in printed
    assert "remove ANONYMOUS_MODE=true and restart" in printed
    assert "sign-in is off" in caplog.text


# What a visitor may not


@pytest.mark.parametrize(
    "path",
    ["/admin/", "/admin/accounts/user/", "/admin/audit/auditevent/", "/admin/moderation/ban/"],
)
def test_the_panel_asks_for_sign_in(stranger: Client, anonymous: User, path: str) -> None:
    assert stranger.get(path)["Location"] == f"/sign-in?next={path}"
    assert stranger.post(path, {}).status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        "/account/password",
        "/account/email",
        "/account/export",
        "/account/delete",
        "/settings/workspace/users",
    ],
)
def test_pages_of_a_real_account_ask_for_sign_in(
    stranger: Client, anonymous: User, path: str
) -> None:
    assert stranger.get(path)["Location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users"),
        ("POST", "users"),
        ("GET", f"users/{ANONYMOUS_ID}"),
        ("PATCH", f"users/{ANONYMOUS_ID}"),
        ("DELETE", f"users/{ANONYMOUS_ID}"),
        ("POST", f"users/{ANONYMOUS_ID}/magic-link"),
        ("GET", "invitations"),
        ("POST", "invitations"),
        ("GET", "audit-events"),
        ("GET", "moderation/bans"),
        ("POST", "moderation/bans"),
        ("GET", "moderation/violations"),
        ("POST", "moderation/violations"),
        ("PATCH", "me"),
        ("DELETE", "me"),
        ("GET", "me/export"),
    ],
)
def test_anonymous_visitors_cannot_use_admin_endpoints(
    stranger: Client, anonymous: User, method: str, path: str
) -> None:
    body = {"role": "owner", "name": "x", "email": "a@example.com", "proof": ANONYMOUS_EMAIL}
    if path == "me":
        # The fields of the operation: others are reported before.
        body = {"name": "x"} if method == "PATCH" else {"proof": ANONYMOUS_EMAIL}
    answer = call(stranger, method, path, None if method == "GET" else body)

    assert answer.status_code == 403, answer.content
    anonymous.refresh_from_db()
    assert (anonymous.role, anonymous.name) == ("editor", "Anonymous")


def test_no_tokens_are_issued_to_a_visitor(stranger: Client, anonymous: User) -> None:
    assert problem(call(stranger, "POST", "auth/token/session", {}))[0] == 401
    answer = call(stranger, "POST", "auth/token", {"email": ANONYMOUS_EMAIL, "password": ""})
    assert problem(answer) == (402, "record_invalid")
    answer = call(stranger, "POST", "auth/token", {"email": ANONYMOUS_EMAIL, "password": "x"})
    assert problem(answer) == (401, "bad_credentials")
    answer = call(stranger, "POST", "auth/token/revoke", {"everywhere": True})
    assert problem(answer) == (403, "forbidden")


def test_an_anonymous_key_has_only_the_scopes_of_its_role(
    stranger: Client, anonymous: User
) -> None:
    answer = call(stranger, "POST", "api-keys", {"name": "a", "scopes": ["users"]})
    assert problem(answer) == (402, "record_invalid")
    key = made_key(stranger, scopes=["read", "write"])

    assert use(key).json()["id"] == str(ANONYMOUS_ID)
    answer = Client().get(f"{API}/users", headers={"x-api-key": key})
    assert problem(answer) == (403, "forbidden")


def test_another_sites_page_cannot_act_as_the_visitor_who_opens_it(
    stranger: Client, anonymous: User
) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = stranger.post(
            f"{API}/api-keys",
            json.dumps({"name": "a"}),
            content_type="application/json",
            headers=headers,
        )
        assert problem(answer) == (403, "csrf_failed")
    assert not ApiKey.objects.exists()


def test_the_api_requires_both_credentials_if_configured(
    stranger: Client, anonymous: User, settings: Settings
) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True

    assert stranger.get(f"{API}/me").status_code == 401


def test_a_banned_network_has_no_anonymous_access(
    stranger: Client, owner: User, anonymous: User, settings: Settings
) -> None:
    bans.ban(actor=owner, network="203.0.113.9", duration=timedelta(hours=1), reason="spam")

    assert stranger.get(f"{API}/me", **ELSEWHERE).json()["code"] == "banned"
    assert stranger.get("/account/", **ELSEWHERE).status_code == 403
    assert stranger.get("/account/").status_code == 200


# The anonymous user cannot be changed


def test_the_anonymous_user_is_in_no_list_and_no_count(
    owner: User, browser_of: Any, anonymous: User
) -> None:
    browser = browser_of(owner)

    assert User.objects.count() == User.objects.people().count() == 1
    assert [row["email"] for row in browser.get(f"{API}/users").json()["results"]] == [owner.email]
    page = browser.get("/admin/accounts/user/").content.decode()
    assert ANONYMOUS_EMAIL not in page
    assert browser.get(f"/admin/accounts/user/{ANONYMOUS_ID}/change/").status_code == 302
    assert not User.objects.search("anonymous").exists()


def test_the_anonymous_user_does_not_complete_the_first_run(anonymous: User) -> None:
    assert signup.needs_first_admin() is True


def _acts(user: User) -> Iterator[Callable[[], object]]:
    profile = users.Profile(name="x")
    yield lambda: users.edit_profile(actor=SYSTEM, user=user, profile=profile)
    yield lambda: users.edit_profile(actor=user, user=user, profile=profile)
    yield lambda: users.change_role(actor=SYSTEM, user=user, role="owner")
    yield lambda: users.disable_user(actor=SYSTEM, user=user)
    yield lambda: users.delete_user(actor=SYSTEM, user=user)
    yield lambda: users.delete_user(actor=user, user=user)
    yield lambda: verification.mark_verified(actor=SYSTEM, user=user)
    yield lambda: passwords.set_password(actor=SYSTEM, user=user, new=PHRASE)
    hour = timedelta(hours=1)
    yield lambda: issue_link(user, actor=SYSTEM, lifetime=hour, source="command")
    yield lambda: sessions.end_sessions(actor=user, user=user)
    yield lambda: bans.ban(actor=SYSTEM, user=user, duration=None, reason="x")


def test_the_anonymous_user_cannot_be_changed_banned_or_deleted(anonymous: User) -> None:
    before = User.all_objects.filter(pk=ANONYMOUS_ID).values().get()

    for act in _acts(anonymous):
        with pytest.raises((Forbidden, RecordInvalid)):
            act()

    assert User.all_objects.filter(pk=ANONYMOUS_ID).values().get() == before


@pytest.mark.parametrize("login", [ANONYMOUS_EMAIL, "anonymous", str(ANONYMOUS_ID)])
@pytest.mark.parametrize("command", ["magiclink", "disableuser", "deleteuser"])
def test_commands_do_not_find_the_anonymous_user(anonymous: User, command: str, login: str) -> None:
    with pytest.raises(CommandError):
        call_command(command, login)


def test_the_address_of_the_anonymous_user_cannot_sign_in_or_register(
    stranger: Client, anonymous: User, owner: User
) -> None:
    User.all_objects.filter(pk=ANONYMOUS_ID).update(password=owner.password)

    answer = stranger.post(
        "/sign-in", {"login": ANONYMOUS_EMAIL, "password": "correct horse battery staple"}
    )

    assert answer.status_code == 401
    with pytest.raises(RecordInvalid):
        users.create_user(actor=SYSTEM, email=ANONYMOUS_EMAIL)
    with pytest.raises(RecordInvalid):
        users.create_user(actor=SYSTEM, email="anybody@gatehouse.invalid")


def test_no_mail_goes_to_the_anonymous_user(stranger: Client, anonymous: User) -> None:
    made_key(stranger)
    stranger.post("/magic-link", {"email": ANONYMOUS_EMAIL})

    assert not OutboxMail.objects.exists()


def test_an_anonymous_row_with_a_higher_role_gives_no_access(
    stranger: Client, anonymous: User
) -> None:
    key = made_key(stranger)
    User.all_objects.filter(pk=ANONYMOUS_ID).update(role="owner")

    assert stranger.get(f"{API}/me").status_code == 401
    assert stranger.get("/account/").status_code == 302
    assert problem(use(key)) == (403, "account_disabled")


def test_limits_of_visitors_count_for_their_network_alone(
    stranger: Client, anonymous: User, settings: Settings
) -> None:
    for number in range(settings.LIMITS["sign-in"][0] + 30):
        stranger.post(
            "/sign-in", {"login": f"a{number % 3}@example.com", "password": "x"}, **ELSEWHERE
        )

    assert Client().get(f"{API}/me").status_code == 200
    assert access_policy.may_act(User.all_objects.get(pk=ANONYMOUS_ID))


# On, off, on


def test_requiring_sign_in_ends_anonymous_access_and_its_keys_at_once(
    stranger: Client, anonymous: User, settings: Settings
) -> None:
    key = made_key(stranger)
    assert use(key).status_code == 200

    switch_off(settings)

    assert stranger.get("/account/").status_code == 302
    assert stranger.get(f"{API}/me").status_code == 401
    assert problem(use(key)) == (403, "account_disabled")
    assert access_policy.may_act(User.all_objects.get(pk=ANONYMOUS_ID)) is False


def test_settings_and_row_must_both_allow_anonymous_access(
    stranger: Client, anonymous: User, settings: Settings
) -> None:
    settings.ANONYMOUS_ROLE = None
    assert stranger.get(f"{API}/me").status_code == 401
    settings.ANONYMOUS_ROLE = Role.EDITOR
    assert stranger.get(f"{API}/me").status_code == 200
    User.all_objects.filter(pk=ANONYMOUS_ID).update(is_active=False)
    assert stranger.get(f"{API}/me").status_code == 401


def test_every_switch_is_audited_once(settings: Settings) -> None:
    switch_on(settings)
    switch_on(settings)
    switch_on(settings, Role.VIEWER)
    switch_off(settings)
    switch_off(settings)
    switch_on(settings)

    on, off = events("account:anonymous-mode:on"), events("account:anonymous-mode:off")
    assert [event.detail for event in on] == [
        {"role": role, "by": ["ANONYMOUS_MODE=true"]} for role in ("editor", "viewer", "editor")
    ]
    assert len(off) == 1
    assert User.all_objects.count() == 1


def test_actions_of_visitors_are_audited(stranger: Client, anonymous: User) -> None:
    made_key(stranger)

    (event,) = events("api:key:create")
    assert (event.actor_id, event.target_id) == (ANONYMOUS_ID, ANONYMOUS_ID)


def test_administrators_revoke_anonymous_keys(
    stranger: Client, owner: User, anonymous: User
) -> None:
    key = made_key(stranger)

    services.revoke_key(actor=owner, key=ApiKey.objects.get())

    assert problem(use(key)) == (403, "api_key_invalid")


# The first person takes over


def take_over() -> User:
    user = signup.sign_up_first(FIRST, set_up_code="", is_localhost=True)
    assert user is not None
    return user


def test_the_first_account_takes_over_the_keys(
    stranger: Client, anonymous: User, settings: Settings
) -> None:
    keys = [made_key(stranger), made_key(stranger)]
    switch_off(settings)
    assert use(keys[0]).status_code == 403

    first = take_over()

    for key in keys:
        assert use(key).json()["email"] == "first@example.com"
    assert ApiKey.objects.filter(user=first).count() == 2
    (event,) = events("account:anonymous-mode:take-over")
    assert (event.actor_id, event.detail) == (first.pk, {"counts": {"api.ApiKey": 2}})


def test_the_first_account_takes_over_while_sign_in_is_still_off(
    stranger: Client, anonymous: User
) -> None:
    key = made_key(stranger)

    first = take_over()

    assert use(key).json()["id"] == str(first.pk)
    assert ApiKey.objects.filter(user_id=ANONYMOUS_ID).count() == 0
    assert stranger.get(f"{API}/me").json()["id"] == str(ANONYMOUS_ID)


def test_rows_of_registered_models_are_transferred_too(
    anonymous: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "_fields", {})
    ownership.register_owned("mail.OutboxMail", field="user")
    ownership.register_owned("mail.OutboxMail", field="user")
    other = User.objects.create(email="other@example.com")
    for owner in (anonymous, anonymous, other):
        OutboxMail.objects.create(user=owner, recipient="x@example.com", kind="k", subject="s")

    first = take_over()

    assert OutboxMail.objects.filter(user=first).count() == 2
    assert OutboxMail.objects.filter(user=other).count() == 1
    (event,) = events("account:anonymous-mode:take-over")
    assert event.detail == {"counts": {"mail.OutboxMail": 2}}


def test_a_revoked_key_stays_revoked_after_the_transfer(stranger: Client, anonymous: User) -> None:
    key = made_key(stranger)
    services.revoke_key(actor=anonymous, key=ApiKey.objects.get())

    take_over()

    assert problem(use(key)) == (403, "api_key_invalid")


def test_the_set_up_link_takes_over_the_keys(stranger: Client, anonymous: User) -> None:
    key = made_key(stranger)
    issued = issue_setup_link(ensure_owner())
    assert issued is not None

    path = issued.url.removeprefix("http://localhost:8000")
    Client().post(path, {"email": "boss@example.com", "name": "Boss", "password": PHRASE})

    assert use(key).json()["email"] == "boss@example.com"
    assert len(events("account:anonymous-mode:take-over")) == 1


def test_the_set_up_link_takes_nothing_if_another_account_did(
    stranger: Client, anonymous: User
) -> None:
    issued = issue_setup_link(ensure_owner())
    assert issued is not None
    take_over()
    key = made_key(stranger)

    path = issued.url.removeprefix("http://localhost:8000")
    Client().post(path, {"email": "boss@example.com", "name": "Boss", "password": PHRASE})

    assert User.objects.get(email="boss@example.com").setup_completed
    assert use(key).json()["id"] == str(ANONYMOUS_ID)


def test_there_is_no_transfer_without_rows(anonymous: User) -> None:
    first = take_over()

    assert events("account:anonymous-mode:take-over") == []
    assert first.keys_valid_from <= timezone.now()


def test_a_second_account_takes_over_nothing(stranger: Client, anonymous: User) -> None:
    take_over()
    key = made_key(stranger)
    second = signup.SignUp("second@example.com", "", PHRASE)

    assert signup.sign_up_first(second, set_up_code="", is_localhost=True) is None
    signup.request_sign_up(second, binding="x")
    signup.handle_sign_up_requests()

    assert User.objects.filter(email="second@example.com").exists()
    assert use(key).json()["id"] == str(ANONYMOUS_ID)


def test_a_first_sign_in_by_provider_takes_over_nothing(stranger: Client, anonymous: User) -> None:
    key = made_key(stranger)
    source = SignInSource(
        id="work", label="Work", allows_registration=True, default_role=Role.ADMIN
    )

    resolve_user(
        source, ExternalUserInfo(subject="1", email="nina@example.com", email_verified=True)
    )
    with pytest.raises(AccountExists):
        resolve_user(source, ExternalUserInfo(subject="2", email="nina@example.com"))

    assert User.objects.get().email == "nina@example.com"
    assert use(key).json()["id"] == str(ANONYMOUS_ID)


@pytest.mark.parametrize("is_proved", [True, False])
def test_no_provider_identity_can_become_the_anonymous_user(
    anonymous: User, is_proved: bool
) -> None:
    source = SignInSource(id="work", label="Work", allows_registration=True, trusts_email=True)
    info = ExternalUserInfo(subject="1", email=ANONYMOUS_EMAIL, email_verified=is_proved)

    with pytest.raises(EmailMissing):
        resolve_user(source, info)

    assert not User.objects.exists()


def test_a_failed_transfer_creates_no_account(
    stranger: Client, anonymous: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_key(stranger)
    monkeypatch.setattr(ownership, "_fields", {"api.ApiKey": "nonsense"})

    with pytest.raises(Exception, match="nonsense"):
        take_over()

    assert not User.objects.exists()
    assert ApiKey.objects.filter(user_id=ANONYMOUS_ID).count() == 1
