"""Forms with an outdated token, and forms and links that are sent or opened twice."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import AccountToken, BrowserSession, Invitation, User
from accounts.services.email_tokens import issue_token
from accounts.services.first_run import ensure_owner, issue_setup_link
from accounts.services.invitations import invite
from accounts.services.passwords import start_reset
from accounts.services.signup import handle_sign_up_requests
from accounts.services.verification import mail_verification
from api.models import ApiKey
from audit.models import AuditEvent
from magiclinks.services import handle_link_requests, issue_link
from mail.models import OutboxMail
from tests.api.keys import made
from tests.conftest import PASSWORD, path_in
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]
NEW = "seven quiet rivers under glass"
EMAIL = "new@example.com"


def strict(browser: Client | None = None) -> Client:
    """A browser whose forms are checked, with the cookies of `browser`."""
    client = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    if browser is not None:
        client.cookies = browser.cookies
    return client


def token_in(answer: Any) -> str:
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', answer.content)
    assert found is not None, answer.content
    return found[1].decode()


# After cleared cookies


def test_a_stale_sign_in_form_is_shown_again_filled(viewer: User) -> None:
    browser = strict()
    form = {"login": "Viewer@Example.com", "password": PASSWORD, "next": "/account/email"}

    answer = browser.post("/sign-in", form)

    page = read(answer.content)
    assert answer.status_code == 403
    assert len(page.all("h1")) == 1
    assert b"This form is out of date" in answer.content
    assert answer.context["form"].initial["login"] == "Viewer@Example.com"
    assert b'value="Viewer@Example.com"' in answer.content
    assert PASSWORD.encode() not in answer.content
    assert not BrowserSession.objects.filter(user=viewer).exists()
    again = browser.post("/sign-in", form | {"csrfmiddlewaretoken": token_in(answer)})
    assert (again.status_code, again["Location"]) == (302, "/account/email")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/sign-up", {"email": EMAIL, "name": "Nina", "next": "/account/email"}),
        ("/magic-link", {"email": EMAIL, "next": "/account/email"}),
        ("/password/forgot", {"email": EMAIL}),
    ],
)
def test_other_stale_public_forms_are_shown_again_filled(
    owner: User, path: str, form: dict[str, str]
) -> None:
    answer = strict().post(path, form)

    assert answer.status_code == 403
    for value in form.values():
        assert f'value="{value}"'.encode() in answer.content
    assert b"csrfmiddlewaretoken" in answer.content


def test_stale_forms_of_links_are_shown_again(owner: User, viewer: User) -> None:
    invited = invite(actor=owner, email=EMAIL, role="editor").url
    reset = start_reset(actor=SYSTEM, user=viewer)

    for url, form in ((invited, {"name": "Nina"}), (reset, {"password": NEW})):
        browser = strict()
        path = url.removeprefix("http://localhost:8000")
        answer = browser.post(path, form)
        assert answer.status_code == 403
        assert NEW.encode() not in answer.content
        token = token_in(answer)
        sent = browser.post(path, form | {"password": NEW, "csrfmiddlewaretoken": token})
        assert sent.status_code == 303
    assert User.objects.get(email=EMAIL).name == "Nina"


def test_an_automatic_redirect_does_not_replace_a_stale_form(
    viewer: User, settings: Settings
) -> None:
    answer = strict().post("/sign-in", {"login": viewer.email, "next": "/account/"})

    assert answer.status_code == 403


# From a second tab


@pytest.mark.parametrize("next_url", ["/account/email", ""])
@pytest.mark.parametrize("path", ["/sign-in", "/magic-link"])
def test_a_signed_in_user_is_redirected(
    viewer: User, browser_of: Browse, path: str, next_url: str
) -> None:
    browser = strict(browser_of(viewer))
    form = {"login": viewer.email, "email": viewer.email, "password": "x", "next": next_url}

    answer = browser.post(path, form)

    assert (answer.status_code, answer["Location"]) == (302, next_url or "/account/")


def test_stale_account_forms_are_shown_again_and_change_nothing(
    viewer: User, browser_of: Browse
) -> None:
    browser = strict(browser_of(viewer))

    answer = browser.post("/account/", {"name": "Vera Neu", "username": "vera"})

    viewer.refresh_from_db()
    assert (answer.status_code, viewer.name) == (403, "Vera Viewer")
    assert read(answer.content).input("name")["value"] == "Vera Neu"


def test_stale_buttons_are_shown_again(viewer: User, browser_of: Browse) -> None:
    browser_of(viewer)
    browser = strict(browser_of(viewer))

    answer = browser.post("/account/sessions/end", {"x": 'a"b'})

    assert (answer.status_code, BrowserSession.objects.count()) == (403, 2)
    assert b"Send it again" in answer.content
    assert b'name="x" value="a&quot;b"' in answer.content
    browser.post("/account/sessions/end", {"csrfmiddlewaretoken": token_in(answer)})
    assert BrowserSession.objects.count() == 1


def test_stale_admin_forms_are_shown_again(owner: User, viewer: User, browser_of: Browse) -> None:
    browser = strict(browser_of(owner))
    path = f"/admin/accounts/user/{viewer.pk}/change/"

    answer = browser.post(path, {"name": "Other", "email": viewer.email})

    assert answer.status_code == 403
    assert b'name="name" value="Other"' in answer.content
    assert f'action="{path}"'.encode() in answer.content


def test_passwords_are_never_filled_in_again(owner: User, browser_of: Browse) -> None:
    answer = strict(browser_of(owner)).post(
        "/admin/accounts/user/add/", {"email": EMAIL, "password": NEW}
    )

    assert answer.status_code == 403
    assert NEW.encode() not in answer.content


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/account/sessions/end", "/sign-in", "/account/"])
def test_a_cross_site_form_is_rejected(
    viewer: User, browser_of: Browse, headers: dict[str, str], path: str
) -> None:
    browser = strict(browser_of(viewer))

    answer = browser.post(path, {"name": "Planted"}, headers=headers)

    assert answer.status_code == 403
    assert b"Planted" not in answer.content
    assert b"This form is out of date" in answer.content
    assert b"Send it again" not in answer.content


def test_a_session_that_ends_meanwhile_leads_to_sign_in(
    viewer: User, browser_of: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browser_of(viewer)

    def end(*_args: object, **_options: object) -> None:
        BrowserSession.objects.all().delete()

    monkeypatch.setattr("accounts.views.account.edit_profile", end)
    session = browser.session
    session["x"] = 1
    session.save()
    monkeypatch.setattr("accounts.sessions.store.SessionStore.is_stale", lambda *_args: True)

    answer = browser.post("/account/", {"name": "Vera"})

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=signed-out")


# Closed features


@pytest.mark.parametrize(
    ("setting", "method", "path", "text"),
    [
        ("ALLOW_EMAIL_LOGIN", "post", "/sign-in", "Sign-in by password is switched off here."),
        ("ALLOW_EMAIL_LOGIN", "get", "/password/forgot", "Sign-in by password is switched off"),
        ("ALLOW_PASSWORD_RESET", "get", "/password/forgot", "Password resets by mail are switched"),
        ("ALLOW_MAGIC_LINK_LOGIN", "get", "/magic-link", "Sign-in by link is switched off here."),
        ("ALLOW_REGISTRATION", "get", "/sign-up", "Sign-up is closed"),
    ],
)
def test_a_closed_feature_says_so(
    stranger: Client, owner: User, settings: Settings,
    setting: str, method: str, path: str, text: str,
) -> None:  # fmt: skip
    setattr(settings, setting, False)

    answer = getattr(stranger, method)(path, {"login": "x", "password": "y"})

    assert answer.status_code == 403
    assert text in answer.content.decode()
    assert "Your role" not in answer.content.decode()


def test_closed_features_of_the_account_say_so(
    viewer: User, browser_of: Browse, settings: Settings
) -> None:
    browser = browser_of(viewer)
    settings.ALLOW_EMAIL_LOGIN = settings.ALLOW_ACCOUNT_DELETION = False

    for path, text in (
        ("/account/password", b"Sign-in by password is switched off here."),
        ("/account/delete", b"Accounts are deleted by administrators here."),
    ):
        answer = browser.get(path)
        assert answer.status_code == 403
        assert text in answer.content


def test_without_passwords_no_page_asks_for_one(
    stranger: Client, viewer: User, owner: User, browser_of: Browse, settings: Settings
) -> None:
    browser = browser_of(viewer)
    newcomer = User.objects.create(email="unproved@example.com", password=viewer.password)
    mail_verification(newcomer, binding="", language="en")
    verify = path_in(OutboxMail.objects.latest("id"))
    invited = invite(actor=owner, email=EMAIL).url.removeprefix("http://localhost:8000")
    settings.ALLOW_EMAIL_LOGIN = False

    for client, paths in (
        (stranger, ["/sign-in", "/sign-up", "/magic-link", verify, invited]),
        (browser, ["/account/", "/account/email", "/account/delete", "/confirm", verify]),
    ):
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert b'type="password"' not in answer.content, path


def test_with_passwords_off_sign_up_needs_none(
    stranger: Client, owner: User, settings: Settings
) -> None:
    settings.ALLOW_EMAIL_LOGIN = False

    assert stranger.post("/sign-up", {"email": EMAIL, "name": "Nina"}).status_code == 200
    handle_sign_up_requests()
    path = path_in(OutboxMail.objects.latest("id"))
    assert Client().post(path)["Location"] == "/sign-in?notice=email-verified"

    user = User.objects.get(email=EMAIL)
    assert (user.is_verified, user.has_usable_password()) == (True, False)


def test_with_passwords_off_the_owner_is_set_up_without_one(
    stranger: Client, settings: Settings
) -> None:
    settings.ALLOW_EMAIL_LOGIN = False
    issued = issue_setup_link(ensure_owner())
    assert issued is not None
    path = issued.url.removeprefix("http://localhost:8000")
    assert b'type="password"' not in stranger.get(path).content

    answer = stranger.post(path, {"email": "chief@example.com", "name": ""})

    assert (answer.status_code, answer["Location"]) == (302, "/admin/set-up/")
    assert User.objects.get(email="chief@example.com").setup_completed


def test_without_passwords_verification_ends_credentials_of_a_stranger(
    viewer: User, settings: Settings
) -> None:
    newcomer = User.objects.create(email="unproved@example.com", password=viewer.password)
    mail_verification(newcomer, binding="", language="en")
    settings.ALLOW_EMAIL_LOGIN = False

    Client().post(path_in(OutboxMail.objects.latest("id")))

    newcomer.refresh_from_db()
    assert (newcomer.is_verified, newcomer.has_usable_password()) == (True, False)


def test_a_change_of_address_without_password_needs_the_accounts_own_browser(
    make_user: MakeUser, browser_of: Browse, stranger: Client, viewer: User
) -> None:
    person = make_user("viewer", "linked@example.com", password=None)
    token = issue_token(
        person, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1), email=EMAIL
    )
    path = token.url.removeprefix("http://localhost:8000")
    page = stranger.get(path).content.decode()
    assert "Sign in to the account first." in page
    assert 'type="password"' not in page

    assert stranger.post(path).status_code == 400
    assert browser_of(viewer).post(path).status_code == 400

    person.refresh_from_db()
    assert person.email == "linked@example.com"
    link = issue_link(person, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
    stranger.post(link.url.removeprefix("http://localhost:8000"))
    assert stranger.post(path)["Location"] == "/account/?notice=email-verified"


# Links opened by a signed-in user


def _links(owner: User, person: User) -> dict[str, tuple[str, dict[str, str]]]:
    """A live link of each kind for `person`, with the form that uses it."""
    magic = issue_link(person, actor=SYSTEM, lifetime=timedelta(hours=1), source="command").url
    reset = start_reset(actor=SYSTEM, user=person)
    mail_verification(person, binding="", language="en")
    verify = path_in(OutboxMail.objects.filter(kind="verify-email").latest("id"))
    change = issue_token(
        person, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1), email="x@y.example"
    ).url
    return {
        "magic": (magic, {}),
        "reset": (reset, {"password": NEW}),
        "verify": (f"http://localhost:8000{verify}", {"password": NEW}),
        "change": (change, {"password": NEW}),
    }


KINDS = ["magic", "reset", "verify", "change"]
STATES = {
    "used": ({"used_at": True}, "used already"),
    "replaced": ({"replaced_at": True}, "A newer link has replaced this one."),
    "expired": ({"expires_at": True}, "This link has expired."),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", [*STATES, "broken"])
@pytest.mark.parametrize("who", ["nobody", "somebody else", "the same person"])
def test_an_ended_link_says_what_it_was(
    owner: User, viewer: User, editor: User, browser_of: Browse, kind: str, state: str, who: str
) -> None:
    url, _form = _links(owner, editor)[kind]
    editor.refresh_from_db()
    editor.set_password(PASSWORD)
    editor.save()
    path = url.removeprefix("http://localhost:8000")
    if state == "broken":
        path, text = path[:-4], "This link does not work. Check that it is complete"
    else:
        fields, text = STATES[state]
        for model in (AccountToken, type(editor.login_links.get())):
            model.objects.update(**dict.fromkeys(fields, editor.created_at))
    here = {"nobody": None, "somebody else": viewer, "the same person": editor}[who]
    browser = Client(headers={"host": "localhost:8000"}) if here is None else browser_of(here)

    for method in ("get", "post"):
        page = getattr(browser, method)(path, {"password": NEW}, follow=True)
        content = page.content.decode()
        assert page.status_code == 200
        assert text in content
        if here is not None:
            assert here.email in content
        if who == "somebody else" and state != "broken":
            assert "e•••@example.com" in content


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_for_another_account_names_both_accounts(
    owner: User, viewer: User, editor: User, browser_of: Browse, kind: str
) -> None:
    browser = browser_of(viewer)
    url, _form = _links(owner, editor)[kind]

    content = browser.get(url.removeprefix("http://localhost:8000")).content.decode()

    assert viewer.email in content
    assert ("e•••@example.com" if kind == "magic" else editor.email) in content


def test_a_reset_for_another_account_leaves_the_session_and_says_so(
    viewer: User, editor: User, browser_of: Browse
) -> None:
    browser = browser_of(viewer)
    path = start_reset(actor=SYSTEM, user=editor).removeprefix("http://localhost:8000")

    answer = browser.post(path, {"password": NEW})

    assert answer["Location"] == "/account/?notice=password-changed-other"
    content = browser.get(answer["Location"]).content.decode()
    assert "The password of that account is changed" in content
    assert browser.get("/account/").context["user"] == viewer
    editor.refresh_from_db()
    viewer.refresh_from_db()
    assert (editor.check_password(NEW), viewer.check_password(PASSWORD)) == (True, True)


def test_a_verification_for_another_account_says_so(
    viewer: User, make_user: MakeUser, browser_of: Browse
) -> None:
    browser = browser_of(viewer)
    other = make_user("viewer", EMAIL, is_verified=False)
    mail_verification(other, binding="", language="en")

    answer = browser.post(path_in(OutboxMail.objects.latest("id")), {"password": PASSWORD})

    assert answer["Location"] == "/account/?notice=email-verified-other"


# Sent and opened twice


def test_a_magic_link_opened_again_in_its_session_redirects(stranger: Client, viewer: User) -> None:
    stranger.post("/magic-link", {"email": viewer.email, "next": "/account/email"})
    handle_link_requests()
    path = path_in(OutboxMail.objects.latest("id"))
    assert stranger.get(path)["Location"] == "/account/email"

    for method in (stranger.get, stranger.post, stranger.get):
        assert method(path)["Location"] == "/account/email"
    assert AuditEvent.objects.filter(action="link:login:redeem").count() == 1
    assert Client().get(path)["Location"] == "/sign-in?notice=link-used"


def test_an_invitation_sent_twice_says_that_it_is_used(stranger: Client, owner: User) -> None:
    path = invite(actor=owner, email=EMAIL).url.removeprefix("http://localhost:8000")
    form = {"name": "Nina", "password": NEW}
    assert stranger.post(path, form).status_code == 303

    for answer in (stranger.post(path, form), stranger.get(path)):
        assert answer.status_code == 200
        assert b"This invitation has been used already." in answer.content
        assert b"with which you are signed in" in answer.content
    assert Invitation.objects.get().user == User.objects.get(email=EMAIL)


def test_a_sign_in_sent_twice_redirects(viewer: User) -> None:
    browser = strict()
    token = token_in(browser.get("/sign-in"))
    form = {"login": viewer.email, "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert browser.post("/sign-in", form | {"next": "/account/email"}).status_code == 302

    again = browser.post("/sign-in", form | {"next": "/account/email"})

    assert (again.status_code, again["Location"]) == (302, "/account/email")
    assert BrowserSession.objects.filter(user=viewer).count() == 1


def test_a_sign_up_sent_twice_is_one_mail(stranger: Client, owner: User) -> None:
    form = {"email": EMAIL, "name": "Nina", "password": NEW}
    for _turn in range(2):
        assert stranger.post("/sign-up", form).status_code == 200
        handle_sign_up_requests()

    assert [mail.kind for mail in OutboxMail.objects.all()] == ["verify-email"]


def test_a_second_deletion_says_the_same(viewer: User, browser_of: Browse) -> None:
    other, browser = browser_of(viewer), browser_of(viewer)
    row = BrowserSession.objects.earliest("created_at")
    key = made(viewer).key
    posts = [f"/account/sessions/{row.public_id}/end", f"/account/keys/{key.pk}/revoke"]

    for path in posts:
        first = browser.post(path)
        again = browser.post(path)
        assert (again.status_code, again["Location"]) == (303, first["Location"])
        assert "notice=" in first["Location"]
    assert other.get("/account/").status_code == 302
    assert ApiKey.objects.get().revoked_at is not None
    assert browser_of(viewer).post(posts[0]).status_code == 404


def test_a_second_sign_out_says_the_same(viewer: User, browser_of: Browse) -> None:
    browser = browser_of(viewer)

    first, second = browser.post("/sign-out"), browser.post("/sign-out")

    assert first["Location"] == "/sign-in?notice=signed-out"
    assert second["Location"] in ("/sign-in", "/sign-in?notice=signed-out")
