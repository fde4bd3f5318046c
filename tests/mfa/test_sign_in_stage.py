"""The second step of a sign-in: required by every method, passed only with a valid code."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, User
from accounts.services import second_factors, users
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from audit.models import AuditEvent
from mfa.models import Authenticator, TrustedBrowser
from mfa.services import authenticators
from moderation.models import Violation
from tests.conftest import PASSWORD
from tests.mfa.authenticator import App, set_up_app
from tests.mfa.sign_in_methods import SIGN_IN_METHODS, by_password, by_password_reset

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
STEP = "/second-factor"


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def begun(client: Client, user: User) -> None:
    """A right password, and the second factor not yet."""
    assert by_password(user)(client)["Location"] == STEP


def send(client: Client, code: str, **fields: str) -> int:
    return client.post(STEP, {"code": code, **fields}).status_code


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_every_sign_in_method_asks_for_the_factor(
    editor: User, app: App, stranger: Client, method: str
) -> None:
    answer = SIGN_IN_METHODS[method](editor)(stranger)

    assert (answer.status_code, answer["Location"]) == (302, STEP)
    assert not is_in(stranger)
    assert not BrowserSession.objects.filter(user=editor).exists()
    assert stranger.get(STEP).status_code == 200
    assert send(stranger, app.code()) == 302
    assert is_in(stranger)
    event = AuditEvent.objects.get(action="account:session:start", result="success")
    assert "totp" in event.detail["methods"]


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_a_recovery_code_works_once_with_every_sign_in_method(
    editor: User, app: App, stranger: Client, method: str
) -> None:
    SIGN_IN_METHODS[method](editor)(stranger)

    assert send(stranger, app.recovery_codes[3]) == 302
    assert is_in(stranger)
    other = Client()
    begun_again = {"login": editor.email, "password": PASSWORD}
    if other.post("/sign-in", begun_again).status_code == 302:
        assert send(other, app.recovery_codes[3]) == 401
        assert not is_in(other)


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_without_a_factor_no_second_step_is_asked(
    editor: User, stranger: Client, method: str
) -> None:
    SIGN_IN_METHODS[method](editor)(stranger)

    assert is_in(stranger)


def test_next_survives_the_step(admin: User, stranger: Client) -> None:
    app = set_up_app(admin)
    form = {"login": admin.email, "password": PASSWORD, "next": "/admin/"}
    stranger.post("/sign-in", form)

    assert stranger.post(STEP, {"code": app.code()})["Location"] == "/admin/"


def test_a_pending_sign_in_has_access_only_to_its_step(
    editor: User, app: App, stranger: Client
) -> None:
    begun(stranger, editor)

    for path in ["/account/", "/account/keys", "/account/email", "/account/password", "/admin/",
                 "/account/authenticator/set-up", "/account/recovery-codes", "/confirm",
                 "/account/passkeys/add", "/account/delete"]:  # fmt: skip
        answer = stranger.get(path)
        assert (path, answer.status_code, answer["Location"].partition("?")[0]) == (
            path, 302, "/sign-in",
        )  # fmt: skip
    for path in ["/account/keys", "/account/export", "/account/recovery-codes", "/confirm",
                 "/account/sessions/end"]:  # fmt: skip
        answer = stranger.post(path, {"code": app.code()})
        assert (path, answer.status_code, answer["Location"].partition("?")[0]) == (
            path, 302, "/sign-in",
        )  # fmt: skip
    for path in ["/api/v1/me", "/api/v1/api-keys", "/api/v1/auth/token/session"]:
        answer = stranger.post(path) if path.endswith("session") else stranger.get(path)
        assert (path, answer.status_code) == (path, 401)
    assert stranger.post("/account/passkeys/options").status_code == 401


@pytest.mark.parametrize("path", ["/second-factor/cancel", "/sign-out"])
def test_cancelling_and_signing_out_end_the_pending_sign_in(
    editor: User, app: App, stranger: Client, path: str
) -> None:
    begun(stranger, editor)
    old = stranger.cookies["gatehouse_session"].value

    stranger.post(path)

    stranger.cookies["gatehouse_session"] = old
    assert send(stranger, app.code()) == 303
    assert not is_in(stranger)
    assert BrowserSession.objects.count() == 0


@pytest.mark.parametrize("fields", [{}, {"code": ""}, {"code": "  "}, {"passkey": ""}])
def test_an_empty_form_does_not_pass(
    editor: User, app: App, stranger: Client, fields: dict[str, str]
) -> None:
    begun(stranger, editor)

    assert stranger.post(STEP, fields).status_code == 400
    assert not is_in(stranger)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", [STEP, "/second-factor/set-up"])
def test_the_step_needs_a_pending_sign_in(stranger: Client, path: str, method: str) -> None:
    answer = getattr(stranger, method)(path)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=second-factor-over")


def test_setting_up_a_factor_does_not_bypass_an_existing_one(
    editor: User, app: App, stranger: Client, settings: Settings
) -> None:
    settings.MFA_REQUIRED_ROLES = ("editor",)
    begun(stranger, editor)
    secret = authenticators.begin_totp_setup(editor).secret

    answer = stranger.post("/second-factor/set-up", {"code": App(b"x" * 20).code()})

    assert (answer.status_code, answer["Location"]) == (302, STEP)
    assert secret not in str(stranger.session.items())
    assert Authenticator.objects.count() == 1


def test_a_factor_of_one_user_does_not_count_for_another(
    editor: User, viewer: User, app: App, stranger: Client
) -> None:
    other = set_up_app(viewer)
    begun(stranger, editor)
    begun(stranger, viewer)

    assert send(stranger, app.code()) == 401
    assert send(stranger, other.code()) == 302
    page = stranger.get("/account/").content.decode()
    assert viewer.email in page


def test_a_code_works_once(editor: User, app: App, stranger: Client) -> None:
    other = Client()
    begun(stranger, editor)
    begun(other, editor)

    assert send(stranger, app.code()) == 302
    assert send(other, app.code()) == 401
    assert not is_in(other)


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_a_code_of_another_time_is_rejected(
    editor: User, app: App, stranger: Client, steps: int
) -> None:
    begun(stranger, editor)

    assert send(stranger, app.code(steps)) == 401


def test_guesses_are_counted_for_the_account_and_not_for_the_session(
    editor: User, app: App
) -> None:
    statuses = []
    for network in range(7):
        client = Client(REMOTE_ADDR=f"203.0.{network}.9")
        begun(client, editor)
        statuses.append(send(client, app.wrong_code()))

    assert statuses == [401] * 5 + [429, 429]
    late = Client(REMOTE_ADDR="203.0.99.9")
    begun(late, editor)
    assert send(late, app.code()) == 429
    refused = AuditEvent.objects.filter(action="account:session:start", result="refused")
    assert [event.detail["methods"] for event in refused] == [["second_factor"]] * 5
    assert set(Violation.objects.values_list("type", flat=True)) == {"second_factor"}


def test_a_known_device_is_not_locked_out_by_others(
    editor: User, app: App, stranger: Client
) -> None:
    begun(stranger, editor)
    assert send(stranger, app.code()) == 302
    stranger.post("/sign-out")
    for _guess in range(6):
        thief = Client(REMOTE_ADDR="203.0.113.9")
        begun(thief, editor)
        send(thief, app.wrong_code())

    begun(stranger, editor)
    assert send(stranger, app.code(1)) == 302


def test_valid_codes_are_not_counted(editor: User, app: App) -> None:
    for number, code in enumerate(app.recovery_codes):
        client = Client(REMOTE_ADDR=f"203.0.{number}.9")
        begun(client, editor)
        assert send(client, code) == 302


def test_a_pending_sign_in_expires_after_ten_minutes(
    editor: User, app: App, stranger: Client, at_time: AtTime
) -> None:
    begun(stranger, editor)
    at_time(timedelta(minutes=10, seconds=1))

    assert send(stranger, app.code()) == 303
    assert not is_in(stranger)


@pytest.mark.parametrize(
    "change",
    {
        "password": lambda user: set_password(
            actor=SYSTEM, user=user, new="an entirely new phrase of words"
        ),
        "disabled": lambda user: users.disable_user(actor=SYSTEM, user=user),
        "role": lambda user: users.change_role(actor=SYSTEM, user=user, role="viewer"),
        "sign-out everywhere": lambda user: end_sessions(actor=SYSTEM, user=user),
        "reset of factors": lambda user: second_factors.reset_factors(actor=SYSTEM, user=user),
        "deleted": lambda user: users.delete_user(actor=SYSTEM, user=user),
    }.values(),
)
def test_revoking_sessions_ends_a_pending_sign_in(
    editor: User, app: App, stranger: Client, change: Callable[[User], object]
) -> None:
    begun(stranger, editor)

    change(User.objects.get(pk=editor.pk))

    assert send(stranger, app.code()) == 303
    assert not is_in(stranger)


def test_a_password_reset_does_not_bypass_the_factor(
    editor: User, app: App, stranger: Client
) -> None:
    answer = by_password_reset(editor)(stranger)

    assert answer["Location"] == STEP
    assert not is_in(stranger)
    assert second_factors.has_factor(editor)


# Remembered browsers


def remembered_browser(user: User, app: App) -> Client:
    """A browser that is not asked again, and is signed out now."""
    client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    begun(client, user)
    assert send(client, app.code(), remember="on") == 302
    client.post("/sign-out")
    return client


def test_a_trusted_browser_is_not_asked_for_30_days(
    editor: User, app: App, at_time: AtTime
) -> None:
    client = remembered_browser(editor, app)
    at_time(timedelta(days=29))

    assert by_password(editor)(client)["Location"] == "/account/"

    client.post("/sign-out")
    at_time(timedelta(days=30, seconds=1))
    assert by_password(editor)(client)["Location"] == STEP


def test_only_a_digest_bound_to_the_user_is_stored(editor: User, viewer: User, app: App) -> None:
    set_up_app(viewer)
    client = remembered_browser(editor, app)

    value = client.cookies["gatehouse_remembered"].value
    assert value not in str(TrustedBrowser.objects.values())
    assert by_password(viewer)(client)["Location"] == STEP


def test_a_browser_is_trusted_only_on_request(editor: User, app: App, stranger: Client) -> None:
    begun(stranger, editor)
    send(stranger, app.code())

    assert TrustedBrowser.objects.count() == 0
    assert "gatehouse_remembered" not in stranger.cookies


@pytest.mark.parametrize(
    "change",
    {
        "password": lambda user: set_password(actor=SYSTEM, user=user, new=PASSWORD + " too"),
        "sign-out everywhere": lambda user: end_sessions(actor=SYSTEM, user=user),
        "new app": set_up_app,
    }.values(),
)
def test_a_trusted_browser_is_forgotten_after_security_changes(
    editor: User, app: App, change: Callable[[User], object]
) -> None:
    client = remembered_browser(editor, app)

    change(User.objects.get(pk=editor.pk))

    for password in (PASSWORD, PASSWORD + " too"):
        answer = client.post("/sign-in", {"login": editor.email, "password": password})
        if answer.status_code == 302:
            assert answer["Location"] == STEP
    assert not is_in(client)


def test_a_user_can_forget_a_trusted_browser(editor: User, app: App, stranger: Client) -> None:
    client = remembered_browser(editor, app)
    begun(stranger, editor)
    send(stranger, app.code(1))
    row = TrustedBrowser.objects.get()
    assert "Firefox on Linux" in stranger.get("/account/").content.decode()

    answer = stranger.post(f"/account/browsers/{row.pk}/forget")

    assert answer["Location"] == "/account/?notice=browser-forgotten"
    assert by_password(editor)(client)["Location"] == STEP


def test_a_user_cannot_forget_the_browser_of_another(
    editor: User, viewer: User, app: App, browser_of
) -> None:
    remembered_browser(editor, app)
    row = TrustedBrowser.objects.get()

    assert browser_of(viewer).post(f"/account/browsers/{row.pk}/forget").status_code == 404
    assert TrustedBrowser.objects.count() == 1


def test_the_pending_sign_in_uses_the_server_clock(
    editor: User, app: App, stranger: Client
) -> None:
    begun(stranger, editor)

    since = stranger.session["account_login"]["state"]["stages"]["second-factor"]["data"]["since"]
    assert abs(timezone.now() - datetime.fromisoformat(since)) < timedelta(minutes=1)


def test_a_revocation_by_a_clock_ahead_does_not_reject_a_valid_code(
    editor: User, app: App, stranger: Client
) -> None:
    User.objects.filter(pk=editor.pk).update(
        credentials_valid_from=timezone.now() + timedelta(hours=1)
    )
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})

    answer = stranger.post("/second-factor", {"code": app.code()})

    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert stranger.get("/account/").status_code == 200


def test_revoking_sessions_ends_a_pending_sign_in_despite_clock_skew(
    editor: User, app: App, stranger: Client
) -> None:
    User.objects.filter(pk=editor.pk).update(
        credentials_valid_from=timezone.now() + timedelta(hours=1)
    )
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})
    end_sessions(actor=SYSTEM, user=User.objects.get(pk=editor.pk))

    answer = stranger.post("/second-factor", {"code": app.code()})

    assert answer["Location"] == "/sign-in?notice=second-factor-over"
    assert stranger.get("/account/").status_code == 302


def test_the_cookie_of_a_trusted_browser_is_new_each_time(
    editor: User, app: App, stranger: Client
) -> None:
    planted = "known-to-a-stranger"
    stranger.cookies["gatehouse_remembered"] = planted
    by_password(editor)(stranger)
    assert send(stranger, app.code(), remember="on") == 302
    first = stranger.cookies["gatehouse_remembered"].value
    stranger.post("/sign-out")
    thief = Client()
    thief.cookies["gatehouse_remembered"] = planted
    assert by_password(editor)(thief)["Location"] == STEP

    TrustedBrowser.objects.update(created_at=timezone.now() - timedelta(days=40))
    User.objects.filter(pk=editor.pk).update(
        credentials_valid_from=timezone.now() - timedelta(days=1)
    )
    by_password(editor)(stranger)
    assert send(stranger, app.code(1), remember="on") == 302

    assert stranger.cookies["gatehouse_remembered"].value not in (first, planted)
    assert TrustedBrowser.objects.count() == 1
    thief.cookies["gatehouse_remembered"] = first
    assert by_password(editor)(thief)["Location"] == STEP


def test_a_browser_can_be_trusted_by_several_users(
    editor: User, viewer: User, app: App, stranger: Client
) -> None:
    other = set_up_app(viewer)
    for user, one in ((editor, app), (viewer, other)):
        by_password(user)(stranger)
        assert send(stranger, one.code(), remember="on") == 302
        stranger.post("/sign-out")

    for user in (editor, viewer):
        assert by_password(user)(stranger)["Location"] == "/account/"
        stranger.post("/sign-out")
    assert TrustedBrowser.objects.count() == 2
