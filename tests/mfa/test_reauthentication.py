"""Sensitive actions need an authentication within the last 15 minutes."""

import html
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import second_factors
from api.models import ApiKey
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from magiclinks.models import LoginLink
from mfa.models import Authenticator, TrustedBrowser
from tests.conftest import PASSWORD
from tests.mfa.authenticator import App, set_up_app
from tests.mfa.sign_in_methods import by_magic_link, by_provider

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
BrowserOf = Callable[[User], Client]
LATE = timedelta(minutes=16)
PAGES = [
    "/account/authenticator/set-up",
    "/account/authenticator/rename",
    "/account/authenticator/remove",
    "/account/email",
    "/account/password",
    "/account/passkeys/add",
    "/account/delete",
]


@pytest.fixture
def own(editor: User, app: App, stranger: Client) -> Client:
    """A browser of `editor`, who has just signed in with both factors."""
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})
    stranger.post("/second-factor", {"code": app.code(-1)})
    return stranger


def leads_to_confirm(answer, path: str) -> bool:
    return (answer.status_code, answer["Location"]) == (
        303,
        f"/confirm?{urlencode({'next': path})}",
    )


@pytest.mark.parametrize("path", PAGES)
def test_a_sensitive_page_opens_only_15_minutes_after_sign_in(
    own: Client, at_time: AtTime, path: str
) -> None:
    assert own.get(path).status_code == 200
    at_time(LATE)

    assert leads_to_confirm(own.get(path), path)


@pytest.mark.parametrize("path", PAGES)
def test_a_code_reauthenticates(own: Client, app: App, at_time: AtTime, path: str) -> None:
    at_time(LATE)

    answer = own.post("/confirm", {"code": app.code(), "next": path})

    assert (answer.status_code, answer["Location"]) == (303, path)
    assert own.get(path).status_code == 200
    event = AuditEvent.objects.get(action="account:confirm:done")
    assert event.detail == {"method": "totp"}


def test_with_a_factor_the_password_alone_does_not_reauthenticate(
    own: Client, at_time: AtTime
) -> None:
    at_time(LATE)
    page = own.get("/confirm").content.decode()

    assert 'name="password"' not in page
    assert own.post("/confirm", {"password": PASSWORD}).status_code == 400
    assert own.get("/account/email").status_code == 303


def test_a_wrong_code_is_rejected_and_audited(own: Client, app: App, at_time: AtTime) -> None:
    at_time(LATE)

    answers = [own.post("/confirm", {"code": app.wrong_code()}).status_code for _try in range(6)]

    assert answers == [401] * 5 + [429]
    refused = AuditEvent.objects.filter(action="account:confirm:code", result="refused")
    assert refused.count() == 5


def test_a_code_used_to_sign_in_does_not_reauthenticate_too(
    editor: User, app: App, stranger: Client
) -> None:
    code = app.code()
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})
    stranger.post("/second-factor", {"code": code})

    assert stranger.post("/confirm", {"code": code}).status_code == 401


def test_without_a_factor_the_password_reauthenticates(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    path = "/account/authenticator/set-up"
    assert browser.get(path).status_code == 303

    assert browser.post("/confirm", {"password": "wrong", "next": path}).status_code == 401
    assert browser.get(path).status_code == 303
    assert browser.post("/confirm", {"password": PASSWORD, "next": path})["Location"] == path
    assert browser.get(path).status_code == 200


@pytest.mark.parametrize("method", [by_magic_link, by_provider])
def test_without_factor_and_password_a_new_sign_in_is_needed(
    make_user: Callable[..., User], stranger: Client, at_time: AtTime, method
) -> None:
    user = make_user(password=None)
    method(user)(stranger)
    at_time(LATE)
    path = "/account/authenticator/set-up"
    assert "Sign in again" in stranger.get(f"/confirm?next={path}").content.decode()

    answer = stranger.post("/confirm", {"again": "yes", "next": path})

    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={path}")
    assert stranger.get("/account/").status_code == 302
    ExternalIdentity.objects.all().delete()
    method(user)(stranger)
    assert stranger.get(path).status_code == 200


def test_an_empty_form_does_not_reauthenticate(
    viewer: User, browser_of: BrowserOf, at_time
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    assert browser.post("/confirm", {}).status_code == 400
    assert browser.post("/confirm", {"again": "yes"}).status_code == 400
    assert browser.get("/account/authenticator/set-up").status_code == 303


@pytest.mark.parametrize(
    "next_url",
    ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"],
)
def test_it_redirects_only_to_own_pages(viewer: User, browser_of: BrowserOf, next_url: str) -> None:
    answer = browser_of(viewer).post("/confirm", {"password": PASSWORD, "next": next_url})

    assert answer["Location"] == "/account/"


def test_without_a_factor_a_form_with_the_password_is_enough(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    assert browser.get("/account/email").status_code == 200
    assert browser.get("/account/password").status_code == 200


def test_a_trusted_browser_counts_only_as_password(
    editor: User, app: App, stranger: Client
) -> None:
    form = {"login": editor.email, "password": PASSWORD}
    stranger.post("/sign-in", form)
    stranger.post("/second-factor", {"code": app.code(), "remember": "on"})
    stranger.post("/sign-out")
    assert TrustedBrowser.objects.count() == 1

    assert stranger.post("/sign-in", form)["Location"] == "/account/"

    assert stranger.get("/account/").status_code == 200
    assert stranger.get("/account/authenticator/remove").status_code == 303


def test_signing_out_other_devices_does_not_reauthenticate(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    browser.post("/account/sessions/end")

    assert browser.get("/account/authenticator/set-up").status_code == 303


# What was typed is not lost


def confirmed(browser: Client, page: Any, **fields: str) -> Any:
    """Fill in the form of /confirm, and follow as a browser does: a 307 posts the form again."""
    content = browser.get(page["Location"]).content.decode()
    shown = re.findall(r'<input type="hidden" name="([^"]+)"[^>]* value="([^"]*)"', content)
    typed = {html.unescape(name): html.unescape(value) for name, value in shown} | fields
    typed.setdefault("password", PASSWORD)
    answer = browser.post("/confirm", typed)
    return browser.post(answer["Location"], typed) if answer.status_code == 307 else answer


def test_the_typed_api_key_form_is_carried_out_after_reauthentication(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    form = {"name": 'Nightly <b>"backup"', "scopes": ["read"], "life": "7"}
    asked = browser.post("/account/keys", form)
    assert leads_to_confirm(asked, "/account/keys")
    assert ApiKey.objects.count() == 0
    assert "Nightly" not in str(dict(browser.session.items()))

    answer = confirmed(browser, asked)

    assert answer.status_code == 200
    assert ApiKey.objects.get().name == form["name"]


def test_a_wrong_password_carries_nothing_out(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    asked = browser.post("/account/keys", {"name": "Nightly", "scopes": ["read"], "life": "7"})

    assert confirmed(browser, asked, password="wrong").status_code == 401

    assert ApiKey.objects.count() == 0


def test_a_pending_form_is_not_carried_out_without_reauthentication(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    asked = browser.post("/account/keys", {"name": "Nightly", "scopes": ["read"], "life": "7"})
    page = browser.get(asked["Location"]).content.decode()
    (key,) = re.findall(r'name="_pending_form" value="([^"]+)"', page)

    answer = browser.post("/account/keys", {"_pending_form": key})

    assert answer["Location"] == "/account/?notice=sent-already"
    assert ApiKey.objects.count() == 0


def _ready(browser: Client) -> dict[str, str]:
    """A form that is ready to be carried out; the fields that the browser posts for it."""
    asked = browser.post("/account/keys", {"name": "Nightly", "scopes": ["read"], "life": "7"})
    page = browser.get(asked["Location"]).content.decode()
    (key,) = re.findall(r'name="_pending_form" value="([^"]+)"', page)
    fields = {"_pending_form": key, "password": PASSWORD, "csrfmiddlewaretoken": "t" * 64}
    answer = browser.post("/confirm", fields)
    assert (answer.status_code, answer["Location"]) == (307, "/account/keys")
    return fields


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/account/export", {}),
        ("/account/keys?x=1", {}),
        ("/account/keys", {"_pending_form": "another"}),
        ("/account/keys", {"_pending_form": ""}),
    ],
)
def test_a_ready_form_is_carried_out_at_its_path_and_by_its_id_alone(
    viewer: User,
    browser_of: BrowserOf,
    at_time: AtTime,
    path: str,
    change: dict[str, str],
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    fields = _ready(browser)

    answer = browser.post(path, fields | change)

    assert answer["Location"] == "/account/?notice=sent-already"
    assert ApiKey.objects.count() == 0


def test_a_ready_form_is_carried_out_once(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    fields = _ready(browser)

    first = browser.post("/account/keys", fields)
    again = browser.post("/account/keys", fields)
    other = browser.post("/account/keys", fields | {"csrfmiddlewaretoken": "u" * 64})

    assert first.content == again.content  # a double click shows the key of the first
    assert other["Location"] == "/account/?notice=sent-already"
    assert ApiKey.objects.count() == 1


def test_a_double_click_on_confirm_leads_to_the_form_twice_and_does_it_once(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    fields = _ready(browser)

    second = browser.post("/confirm", fields)

    assert (second.status_code, second["Location"]) == (307, "/account/keys")
    assert browser.post("/account/keys", fields).status_code == 200
    assert browser.post("/account/keys", fields).status_code == 200
    assert ApiKey.objects.count() == 1


def test_a_ready_form_waits_for_a_minute(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    fields = _ready(browser)

    at_time(LATE + timedelta(seconds=61))

    assert browser.post("/account/keys", fields)["Location"] == "/account/?notice=sent-already"
    assert ApiKey.objects.count() == 0


def test_a_form_of_another_tab_is_not_carried_out(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    form = {"name": "Nightly", "scopes": ["read"], "life": "7"}
    first = browser.get(browser.post("/account/keys", form)["Location"]).content.decode()
    (key,) = re.findall(r'name="_pending_form" value="([^"]+)"', first)
    browser.post("/account/export")  # the other tab

    answer = browser.post("/confirm", {"_pending_form": key, "password": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (303, "/account/")


def test_a_form_that_waits_too_long_is_not_carried_out(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    asked = browser.post("/account/keys", {"name": "Nightly", "scopes": ["read"], "life": "7"})
    page = browser.get(asked["Location"]).content.decode()
    (key,) = re.findall(r'name="_pending_form" value="([^"]+)"', page)

    at_time(LATE + timedelta(minutes=16))
    answer = browser.post("/confirm", {"_pending_form": key, "password": PASSWORD})

    assert answer.status_code == 303
    assert ApiKey.objects.count() == 0


def test_another_site_cannot_carry_a_ready_form_out(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)
    fields = _ready(browser)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies

    assert strict.post("/account/keys", fields).status_code == 403

    assert ApiKey.objects.count() == 0


def test_the_export_needs_reauthentication(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    assert browser.post("/account/export").status_code == 303
    browser.post("/confirm", {"password": PASSWORD})
    assert browser.post("/account/export").status_code == 200


def test_new_recovery_codes_need_reauthentication(
    own: Client, editor: User, app: App, at_time: AtTime
) -> None:
    at_time(LATE)
    assert own.post("/account/recovery-codes").status_code == 303
    assert second_factors.remaining_codes(editor).left == 10

    own.post("/confirm", {"code": app.code()})
    own.post("/account/recovery-codes")

    shown = own.get("/account/recovery-codes").content.decode()
    assert len(re.findall(r"<code>[a-z2-7-]{29}</code>", shown)) == 10
    assert app.recovery_codes[0] not in shown


# The panel


@pytest.fixture
def panel(admin: User, browser_of: BrowserOf) -> Client:
    return browser_of(admin)


def _page(user: User, end: str) -> str:
    return f"/admin/accounts/user/{user.pk}/{end}/"


def test_sensitive_admin_actions_need_reauthentication(
    panel: Client, viewer: User, at_time: AtTime
) -> None:
    set_up_app(viewer)
    at_time(LATE)
    before = User.objects.get(pk=viewer.pk).password
    people = "/admin/accounts/user/"
    ticked = {"_selected_action": [str(viewer.pk)]}
    posts = [
        (_page(viewer, "change"), {"role": "editor", "email": "other@example.com"}),
        (_page(viewer, "delete"), {"post": "yes"}),
        (_page(viewer, "reset"), {}),
        (_page(viewer, "reset-factors"), {"confirmed": "yes"}),
        ("/admin/accounts/user/add/", {"email": "new@example.com", "role": "editor"}),
        ("/admin/accounts/invitation/add/", {"email": "new@example.com", "role": "editor"}),
        *(
            (people, {"action": name, "confirmed": "yes", "role": "editor", **ticked})
            for name in ("change_role_of_people", "start_reset_of_people", "get_login_url",
                         "reset_factors_of_people", "delete_selected")
        ),
    ]  # fmt: skip

    for path, form in posts:
        assert leads_to_confirm(panel.post(path, form), path), (path, form)

    after = User.objects.get(pk=viewer.pk)
    assert (after.role, after.email, after.password) == ("viewer", viewer.email, before)
    assert (User.objects.count(), LoginLink.objects.count()) == (2, 0)
    assert Authenticator.objects.filter(user=viewer).count() == 1


def test_viewing_and_revoking_need_no_reauthentication(
    panel: Client, viewer: User, at_time: AtTime
) -> None:
    at_time(LATE)

    assert panel.get("/admin/accounts/user/").status_code == 200
    assert panel.get(_page(viewer, "change")).status_code == 200
    assert panel.post(_page(viewer, "disable")).status_code == 302
    assert not User.objects.get(pk=viewer.pk).is_active


def test_an_admin_action_is_carried_out_after_reauthentication_that_named_it(
    panel: Client, viewer: User, at_time: AtTime
) -> None:
    User.objects.filter(pk=viewer.pk).update(name="Vera <Viewer>")
    at_time(LATE)
    form = {"action": "get_login_url", "_selected_action": [str(viewer.pk)]}
    path = "/admin/accounts/user/?role=viewer"
    asked = panel.post(path, form)
    assert leads_to_confirm(asked, path)

    page = panel.get(asked["Location"]).content.decode()
    answer = confirmed(panel, asked)

    assert f"Get email login URL: Vera &lt;Viewer&gt; ({viewer.email})" in page
    assert answer.status_code == 200
    assert LoginLink.objects.get().user == viewer


def test_a_deletion_is_named_and_carried_out(panel: Client, viewer: User, at_time: AtTime) -> None:
    at_time(LATE)
    asked = panel.post(_page(viewer, "delete"), {"post": "yes"})

    page = panel.get(asked["Location"]).content.decode()
    answer = confirmed(panel, asked)

    assert f"Delete: {viewer.name} ({viewer.email})" in page
    assert answer["Location"] == "/admin/accounts/user/"
    assert not User.objects.filter(pk=viewer.pk).exists()


def test_a_bulk_deletion_is_asked_for_before_it_is_done(
    panel: Client, viewer: User, at_time: AtTime
) -> None:
    at_time(LATE)
    form = {"action": "delete_selected", "_selected_action": [str(viewer.pk)]}

    answer = confirmed(panel, panel.post("/admin/accounts/user/", form))

    assert answer.status_code == 200
    assert viewer.email in answer.content.decode()
    assert User.objects.filter(pk=viewer.pk).exists()


@pytest.mark.parametrize("key", ["no-id", "\x00", "01a22311-bcee-7700-9983-1c40b6c47e61"])
def test_rows_that_do_not_exist_are_not_named(panel: Client, at_time: AtTime, key: str) -> None:
    at_time(LATE)
    form = {"action": "get_login_url", "_selected_action": [key]}
    asked = panel.post("/admin/accounts/user/", form)

    page = panel.get(asked["Location"]).content.decode()

    assert '<p class="notice-heading">Get email login URL</p>' in page
