"""Second factors on the account page, in the admin, the command and the export."""

import io
import re
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import User
from accounts.services import second_factors
from audit.models import AuditEvent
from mail.models import OutboxMail
from mfa import totp
from mfa.models import Authenticator
from tests.mfa.authenticator import App, set_up_app
from tests.mfa.sign_in_methods import by_password

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
SET_UP = "/account/authenticator/set-up"


def signed_in(user: User, app: App) -> Client:
    client = Client()
    by_password(user)(client)
    assert client.post("/second-factor", {"code": app.code()}).status_code == 302
    return client


def seed_on(page: str) -> App:
    found = re.search(r'<p class="qr-key"><code id="totp-key">([A-Z2-7 ]+)</code>', page)
    assert found is not None
    return App(totp.from_text(found[1].replace(" ", "")))


def test_an_authenticator_is_set_up_on_the_account_page(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    page = browser.get(SET_UP)
    text = page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert 'src="data:image/svg+xml' in text

    answer = browser.post(SET_UP, {"code": seed_on(text).code(), "name": "Phone"})

    assert (answer.status_code, answer["Location"]) == (303, "/account/recovery-codes")
    codes = browser.get("/account/recovery-codes").content.decode()
    assert len(re.findall(r"<code>[a-z2-7-]{29}</code>", codes)) == 10
    account = browser.get("/account/").content.decode()
    assert "Phone" in account
    assert "10 of 10 are left" in account


def test_new_recovery_codes_can_be_taken_along_once(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    set_up_app(viewer)
    assert browser.post("/account/recovery-codes").status_code == 303
    page = browser.get("/account/recovery-codes").content.decode()
    codes = re.findall(r"<code>([a-z2-7-]{29})</code>", page)
    assert re.search(r'name="codes" value="([^"]*)"', page)[1].split() == codes  # type: ignore[index]
    assert 'data-copies="recovery-codes"' in page
    assert "data-prints hidden" in page

    file = browser.post("/account/recovery-codes/download", {"codes": " ".join(codes)})

    assert (file.status_code, file["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert file["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert file["Cache-Control"] == "no-store"
    text = file.content.decode()
    assert "Recovery codes of Gatehouse\nAccount: viewer@example.com\n" in text
    assert [line for line in text.splitlines() if line in codes] == codes
    # The server has no copy: neither page gives them again.
    assert codes[0] not in browser.get("/account/recovery-codes").content.decode()
    assert browser.get("/account/recovery-codes/download").status_code == 405


@pytest.mark.parametrize("codes", ["", "x", "a" * 29, "<script>", "\n".join(["aaaaa" * 5] * 11)])
def test_the_download_returns_nothing_but_codes(
    codes: str, viewer: User, browser_of: BrowserOf
) -> None:
    answer = browser_of(viewer).post("/account/recovery-codes/download", {"codes": codes})
    assert answer.status_code == 402
    assert "Content-Disposition" not in answer


def test_the_download_does_not_tell_which_codes_are_real(
    viewer: User, browser_of: BrowserOf
) -> None:
    wrong = "-".join(["aaaaa"] * 5)
    answer = browser_of(viewer).post("/account/recovery-codes/download", {"codes": wrong})
    assert (answer.status_code, wrong in answer.content.decode()) == (200, True)
    assert Client().post("/account/recovery-codes/download").status_code == 302


def test_the_code_used_for_set_up_cannot_sign_in_too(
    viewer: User, browser_of: BrowserOf, stranger: Client
) -> None:
    browser = browser_of(viewer)
    # Once: half a minute later the app shows another code, which would be right.
    code = seed_on(browser.get(SET_UP).content.decode()).code()
    browser.post(SET_UP, {"code": code})

    by_password(viewer)(stranger)

    assert stranger.post("/second-factor", {"code": code}).status_code == 401


@pytest.mark.parametrize("form", [{}, {"code": ""}, {"code": "12"}, {"code": "abcdef"}])
def test_without_a_valid_code_no_authenticator_is_stored(
    viewer: User, browser_of: BrowserOf, form: dict[str, str]
) -> None:
    browser = browser_of(viewer)
    browser.get(SET_UP)

    assert browser.post(SET_UP, form).status_code == 400
    assert not second_factors.has_factor(viewer)


def test_an_authenticator_can_be_renamed_and_removed(editor: User, app: App) -> None:
    browser = signed_in(editor, app)

    browser.post("/account/authenticator/rename", {"name": "Old phone"})
    assert Authenticator.objects.get().name == "Old phone"
    answer = browser.post("/account/authenticator/remove")

    assert answer["Location"] == "/account/?notice=factor-removed"
    assert not second_factors.has_factor(editor)


@pytest.mark.parametrize("path", ["rename", "remove"])
def test_without_an_authenticator_there_is_nothing_to_change(
    viewer: User, browser_of: BrowserOf, path: str
) -> None:
    assert browser_of(viewer).post(f"/account/authenticator/{path}").status_code == 404


def test_without_a_factor_there_are_no_recovery_codes(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)

    assert browser.post("/account/recovery-codes")["Location"] == "/account/"
    assert viewer.recovery_codes.count() == 0


def test_the_export_names_factors_without_secrets(editor: User, app: App) -> None:
    answer = signed_in(editor, app).post("/account/export")

    factors = answer.json()["second_factors"]
    assert [(factor["kind"], factor["name"]) for factor in factors] == [
        ("totp", "Authenticator app")
    ]
    assert totp.as_text(app.secret) not in answer.content.decode()


# The panel


def test_the_admin_page_of_a_user_shows_and_resets_factors(
    admin: User, editor: User, app: App, browser_of: BrowserOf
) -> None:
    panel = browser_of(admin)
    page = f"/admin/accounts/user/{editor.pk}/change/"
    text = panel.get(page).content.decode()
    assert "10 recovery codes are left." in text
    assert "Reset second factors" in text
    path = f"/admin/accounts/user/{editor.pk}/reset-factors/"

    asked = panel.post(path)
    assert "Remove 1 second factor" in asked.content.decode()
    assert second_factors.has_factor(editor)
    answer = panel.post(path, {"confirmed": "yes"})

    assert answer["Location"] == page
    assert not second_factors.has_factor(editor)
    assert "None set up." in panel.get(page).content.decode()
    assert OutboxMail.objects.latest("id").kind == "factors-reset"


def test_factors_of_higher_ranks_cannot_be_reset_in_the_admin(
    admin: User, owner: User, browser_of: BrowserOf
) -> None:
    set_up_app(owner)
    panel = browser_of(admin)
    path = f"/admin/accounts/user/{owner.pk}/reset-factors/"

    assert panel.post(path, {"confirmed": "yes"}).status_code == 403
    assert panel.get(path).status_code == 405
    assert second_factors.has_factor(owner)


def test_a_bulk_reset_skips_users_of_higher_rank(
    admin: User, editor: User, owner: User, app: App, browser_of: BrowserOf
) -> None:
    set_up_app(owner)
    panel = browser_of(admin)
    form = {
        "action": "reset_factors_of_people",
        "_selected_action": [str(editor.pk), str(owner.pk)],
    }
    asked = panel.post("/admin/accounts/user/", form).content.decode()
    assert "Remove 1 second factor," in asked

    panel.post("/admin/accounts/user/", {**form, "confirmed": "yes"})

    assert not second_factors.has_factor(editor)
    assert second_factors.has_factor(owner)


@pytest.mark.parametrize(("choice", "shown"), [("yes", True), ("no", False)])
def test_users_are_filtered_by_their_factor(
    admin: User, editor: User, app: App, browser_of: BrowserOf, choice: str, shown: bool
) -> None:
    page = browser_of(admin).get(f"/admin/accounts/user/?factor={choice}").content.decode()

    assert (f"/admin/accounts/user/{editor.pk}/change/" in page) is shown


# The command


def test_resetmfa_removes_all_factors(owner: User) -> None:
    set_up_app(owner)
    out = io.StringIO()

    call_command("resetmfa", owner.email, "--yes", stdout=out)

    assert out.getvalue() == "Removed 1 second factors of owner@example.com.\n"
    assert not second_factors.has_factor(owner)
    event = AuditEvent.objects.get(action="account:factor:reset")
    assert (event.channel, event.actor_id) == ("command", None)


def test_resetmfa_fails_if_there_is_no_factor(owner: User) -> None:
    with pytest.raises(CommandError, match="there is no second factor"):
        call_command("resetmfa", owner.email, "--yes")
