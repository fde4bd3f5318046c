"""First run: CONTRACT section 10, ATTACKS A157, ASVS 6.3.2 and 6.4.1."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.services.first_run import ensure_owner, issue_setup_link
from audit.models import AuditEvent
from config.environment import load

pytestmark = pytest.mark.django_db
PHRASE = "seven quiet rivers under glass"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def link() -> str:
    issued = issue_setup_link(ensure_owner())
    assert issued is not None
    return issued.url.removeprefix("http://localhost:8000")


def claim(client: Client, link: str, **changes: str) -> object:
    return client.post(
        link, {"email": "boss@example.com", "name": "Boss", "password": PHRASE, **changes}
    )


def test_a_first_start_creates_an_owner_who_cannot_sign_in_yet(stranger: Client) -> None:
    owner = ensure_owner()

    assert (owner.email, owner.username, owner.role) == ("admin@admin.com", "admin", "owner")
    assert (owner.setup_completed, owner.has_usable_password()) == (False, False)
    event = AuditEvent.objects.get(action="account:user:create")
    assert (event.actor_id, event.target_id) == (None, owner.pk)
    assert event.detail == {"role": "owner", "source": "first-run"}
    stranger.post("/sign-in", {"login": "admin@admin.com", "password": "admin"}, **ELSEWHERE)
    assert stranger.get("/account/").status_code == 302


def test_a_second_start_changes_nothing() -> None:
    first = ensure_owner()

    assert ensure_owner() == first
    assert User.objects.count() == 1


def test_the_audit_log_records_each_set_up_link(link: str) -> None:
    event = AuditEvent.objects.get(action="account:set-up:issue")

    assert (event.actor_id, event.target_id) == (None, User.objects.get().pk)


def test_the_set_up_link_completes_the_owner_account(stranger: Client, link: str) -> None:
    assert stranger.get(link).status_code == 200

    answer = claim(stranger, link)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/set-up/")
    owner = User.objects.get()
    assert (owner.email, owner.role, owner.setup_completed) == ("boss@example.com", "owner", True)
    assert owner.is_verified
    assert owner.check_password(PHRASE)
    assert stranger.get("/account/").status_code == 200
    assert AuditEvent.objects.filter(action="account:set-up:complete").count() == 1


def test_the_link_works_once(stranger: Client, link: str) -> None:
    claim(stranger, link)
    second = Client()

    answer = claim(second, link, email="thief@example.com")

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=set-up-used")
    assert second.get(link)["Location"] == "/sign-in?notice=set-up-used"
    assert not User.objects.filter(email="thief@example.com").exists()
    assert second.get("/account/").status_code == 302


def test_a_weak_password_leaves_the_link_usable(stranger: Client, link: str) -> None:
    answer = claim(stranger, link, password="short")

    assert answer.status_code == 400
    assert User.objects.get().setup_completed is False
    assert claim(stranger, link).status_code == 302


def test_the_link_ends_after_a_day(
    stranger: Client, link: str, at_time: Callable[[timedelta], object]
) -> None:
    at_time(timedelta(hours=24, seconds=1))

    answer = claim(stranger, link)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-expired")
    assert User.objects.get().setup_completed is False


def test_each_start_prints_a_new_link_until_set_up_is_complete(
    stranger: Client, link: str, capsys: pytest.CaptureFixture[str], tmp_path, settings: Settings
) -> None:
    settings.DATA_DIR = tmp_path
    call_command("serve", "--prepare-only")
    printed = re.search(r"http://localhost:8000(/set-up/\S+)", capsys.readouterr().out)
    assert printed is not None

    assert stranger.get(link)["Location"] == "/sign-in?notice=link-replaced"
    assert claim(stranger, printed[1]).status_code == 302
    call_command("serve", "--prepare-only")
    assert "set-up" not in capsys.readouterr().out


def test_a_start_warns_of_unwise_settings(
    capsys: pytest.CaptureFixture[str], tmp_path, settings: Settings
) -> None:
    settings.DATA_DIR = tmp_path
    settings.ENV = load({"ALOW_REGISTRATION": "false", "SESSION_EXPIRY": "30d"}, tmp_path / ".env")

    call_command("serve", "--prepare-only")

    printed = capsys.readouterr().out
    assert (
        "Warning: ALOW_REGISTRATION: is unknown. Fix: did you mean ALLOW_REGISTRATION? Write "
        "that, or remove it.\n"
    ) in printed
    assert "Warning: SESSION_EXPIRY: is longer than 24 hours" in printed


def test_a_strong_default_owner_password_works_at_once(
    stranger: Client, settings: Settings
) -> None:
    settings.DEFAULT_OWNER_EMAIL = "chief@example.com"
    settings.DEFAULT_OWNER_PASSWORD = PHRASE
    ensure_owner()

    stranger.post("/sign-in", {"login": "chief@example.com", "password": PHRASE}, **ELSEWHERE)

    assert stranger.get("/account/").status_code == 200


@pytest.mark.parametrize("weak", ["admin", "admin@admin.com", "letmein"])
def test_a_weak_default_owner_password_works_only_on_localhost(
    stranger: Client, settings: Settings, weak: str
) -> None:
    settings.DEFAULT_OWNER_PASSWORD = weak
    ensure_owner()

    answer = stranger.post("/sign-in", {"login": "admin@admin.com", "password": weak}, **ELSEWHERE)

    assert answer.status_code == 401
    assert stranger.get("/account/").status_code == 302


def test_on_localhost_the_well_known_password_leads_to_set_up(
    stranger: Client,
) -> None:
    ensure_owner()

    answer = stranger.post("/sign-in", {"login": "admin", "password": "admin"})

    assert answer.status_code == 303
    assert answer["Location"].startswith("/set-up/")
    assert stranger.get("/account/").status_code == 302
    assert claim(stranger, answer["Location"]).status_code == 302


def test_the_well_known_password_works_from_elsewhere_only_if_configured(
    stranger: Client, settings: Settings
) -> None:
    ensure_owner()
    settings.DEFAULT_OWNER_ALLOW_INSECURE = True

    answer = stranger.post("/sign-in", {"login": "admin", "password": "admin"}, **ELSEWHERE)

    assert answer["Location"].startswith("/set-up/")


def test_the_well_known_password_stops_working_after_set_up(stranger: Client, link: str) -> None:
    claim(Client(), link, email="admin@admin.com")

    answer = stranger.post("/sign-in", {"login": "admin@admin.com", "password": "admin"})

    assert answer.status_code == 401


def sign_up(client: Client, email: str, code: str | None = None, **extra: str) -> object:
    data = {"email": email, "name": "N", "password": PHRASE}
    if code is not None:
        data["setup_code"] = code
    return client.post("/sign-up", data, **extra)


def test_the_first_sign_up_on_localhost_becomes_admin(stranger: Client) -> None:
    ensure_owner()

    answer = sign_up(stranger, "first@example.com")

    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert User.objects.get(email="first@example.com").role == "admin"
    assert stranger.get("/account/").status_code == 200


def test_from_elsewhere_the_first_sign_up_needs_the_printed_code(
    stranger: Client, link: str
) -> None:
    assert b"setup_code" in stranger.get("/sign-up", **ELSEWHERE).content

    assert sign_up(stranger, "first@example.com", **ELSEWHERE).status_code == 400
    assert sign_up(stranger, "first@example.com", "wrong", **ELSEWHERE).status_code == 400
    assert not User.objects.filter(email="first@example.com").exists()

    code = link.rpartition("/")[2]
    assert sign_up(stranger, "first@example.com", code, **ELSEWHERE).status_code == 302
    assert User.objects.get(email="first@example.com").role == "admin"


def test_the_set_up_code_can_be_switched_off(stranger: Client, settings: Settings) -> None:
    ensure_owner()
    settings.FIRST_ACCOUNT_OPEN = True

    assert sign_up(stranger, "first@example.com", **ELSEWHERE).status_code == 302
    assert User.objects.get(email="first@example.com").role == "admin"


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_after_the_first_admin_a_sign_up_is_ordinary(
    stranger: Client, make_user: Callable[..., User], role: str
) -> None:
    make_user(role)

    answer = sign_up(stranger, "later@example.com")

    assert answer.status_code == 200
    assert not User.objects.filter(email="later@example.com").exists()
    assert stranger.get("/account/").status_code == 302


PROXIED = [
    {"SERVER_PROTOCOL": "HTTP/1.0"},
    {"HTTP_VIA": "1.1 proxy"},
    {"HTTP_X_FORWARDED_PROTO": "https"},
    {"HTTP_CONNECTION": "close"},
    {"HTTP_ORIGIN": "http://gate.example.com"},
    {"REMOTE_ADDR": "203.0.113.9"},
]


@pytest.mark.parametrize("way", PROXIED)
def test_the_well_known_password_from_elsewhere_needs_the_printed_code(
    db: None, stranger: Client, way: dict[str, str]
) -> None:
    owner = ensure_owner()
    issued = issue_setup_link(owner)
    form = {"login": "admin@admin.com", "password": "admin"}

    asked = stranger.post("/sign-in", form, **way)
    wrong = stranger.post("/sign-in", form | {"setup_code": "x" * 43}, **way)

    for answer in (asked, wrong):
        assert answer.status_code == 401
        assert b'name="setup_code"' in answer.content
        assert "Location" not in answer
    assert AuditEvent.objects.filter(action="account:session:start", result="refused").count() == 2
    right = stranger.post("/sign-in", form | {"setup_code": f" {issued.token} "}, **way)
    assert (right.status_code, right["Location"]) == (303, f"/set-up/{issued.token}")
    assert not User.objects.get(pk=owner.pk).setup_completed


def test_no_other_sign_in_asks_for_the_code(viewer: User, stranger: Client) -> None:
    ensure_owner()

    for login in ("viewer@example.com", "nobody@example.com"):
        answer = stranger.post(
            "/sign-in", {"login": login, "password": "admin", "setup_code": "x"}, **ELSEWHERE
        )
        assert answer.status_code == 401
        assert b"The email address or password is incorrect." in answer.content
