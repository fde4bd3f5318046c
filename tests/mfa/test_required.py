"""Roles that require a second factor: every sign-in method leads to its set-up first."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import BrowserSession, User
from config.environment.errors import Unreadable
from config.environment.registry.mfa import check_roles
from mfa import totp
from mfa.models import Authenticator
from operations import doctor
from tests.mfa.authenticator import App, set_up_app
from tests.mfa.sign_in_methods import SIGN_IN_METHODS, by_password

pytestmark = pytest.mark.django_db
SET_UP = "/second-factor/set-up"


@pytest.fixture(autouse=True)
def _owners_and_admins(settings: Settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("owner", "admin")


def app_on(page: str) -> App:
    """What a phone reads on the page."""
    found = re.search(r"otpauth://totp/[^\"]*?secret=([A-Z2-7]{32})", page)
    assert found is not None
    return App(totp.from_text(found[1]))


@pytest.mark.parametrize("role", ["owner", "admin"])
@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_each_sign_in_method_leads_to_the_set_up_of_a_factor(
    make_user: Callable[..., User], stranger: Client, method: str, role: str
) -> None:
    user = make_user(role)
    answer = SIGN_IN_METHODS[method](user)(stranger)

    assert (answer.status_code, answer["Location"]) == (302, SET_UP)
    assert stranger.get("/account/").status_code == 302
    assert stranger.get("/admin/").status_code == 302
    assert BrowserSession.objects.filter(user=user).count() == 0
    page = stranger.get(SET_UP).content.decode()
    done = stranger.post(SET_UP, {"code": app_on(page).code(), "name": "Phone"})
    after = "%2Fadmin%2Fset-up%2F" if method == "set-up" else "%2Faccount%2F"
    assert done["Location"] == f"/account/recovery-codes?next={after}"
    codes = stranger.get(done["Location"])
    assert codes["Cache-Control"] == "no-store"
    shown = re.findall(r"<code>([a-z2-7-]{29})</code>", codes.content.decode())
    assert len(set(shown)) == 10
    assert re.findall(r"<code>", stranger.get(done["Location"]).content.decode()) == []
    assert stranger.get("/admin/").status_code == 200


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_other_roles_need_no_factor(
    make_user: Callable[..., User], stranger: Client, role: str
) -> None:
    assert by_password(make_user(role))(stranger)["Location"] == "/account/"


def test_a_wrong_code_keeps_the_key_and_signs_no_one_in(admin: User, stranger: Client) -> None:
    by_password(admin)(stranger)
    app = app_on(stranger.get(SET_UP).content.decode())

    answer = stranger.post(SET_UP, {"code": app.wrong_code()})

    assert answer.status_code == 400
    assert app_on(answer.content.decode()) == app
    assert stranger.get("/account/").status_code == 302
    assert Authenticator.objects.count() == 0


def test_the_key_is_encrypted_in_the_session(admin: User, stranger: Client) -> None:
    by_password(admin)(stranger)
    app = app_on(stranger.get(SET_UP).content.decode())

    assert totp.as_text(app.secret) not in unquote(str(dict(stranger.session.items())))


def test_a_session_from_before_the_requirement_ends(
    admin: User, browser_of: Callable[[User], Client], settings: Settings
) -> None:
    settings.MFA_REQUIRED_ROLES = ()
    browser = browser_of(admin)
    assert browser.get("/admin/").status_code == 200

    settings.MFA_REQUIRED_ROLES = ("admin",)

    assert browser.get("/admin/").status_code == 302
    assert by_password(admin)(browser)["Location"] == SET_UP


def test_the_last_required_factor_cannot_be_removed(admin: User, stranger: Client) -> None:
    app = set_up_app(admin)
    by_password(admin)(stranger)
    stranger.post("/second-factor", {"code": app.code()})

    answer = stranger.post("/account/authenticator/remove")

    assert answer.status_code == 403
    assert "Your role requires a second factor" in answer.content.decode()
    assert Authenticator.objects.count() == 1


@pytest.mark.parametrize("names", [["boss"], ["admin", ""]])
def test_a_role_that_does_not_exist_stops_the_start(names: list[str]) -> None:
    with pytest.raises(Unreadable):
        check_roles(names)


def test_names_of_roles_are_read_in_any_case() -> None:
    assert check_roles(["Owner", "ADMIN"]) == ["owner", "admin"]


def test_doctor_recommends_factors_for_administrators(settings: Settings) -> None:
    settings.IS_HTTPS = True
    assert list(doctor._factors()) == []

    settings.MFA_REQUIRED_ROLES = ("owner",)

    assert [found.fix for found in doctor._factors()] == ["Set MFA_REQUIRED_ROLES=owner,admin."]
