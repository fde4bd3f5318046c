"""Fields of the pages: labels, errors beside them, and what password managers need."""

import pytest

from tests.pages.pages import read

pytestmark = pytest.mark.django_db


def autocomplete(client, path: str, *names: str) -> list[str]:
    page = read(client.get(path).content)
    return [page.input(name)["autocomplete"] for name in names]


def test_password_managers_find_the_fields_of_public_pages(stranger) -> None:
    assert autocomplete(stranger, "/sign-in", "login", "password") == [
        "username webauthn",
        "current-password",
    ]
    assert autocomplete(stranger, "/sign-up", "email", "password") == ["email", "new-password"]
    assert autocomplete(stranger, "/password/forgot", "email") == ["email"]
    assert autocomplete(stranger, "/magic-link", "email") == ["email"]


def test_password_managers_find_the_fields_of_own_pages(browser_of, viewer) -> None:
    browser = browser_of(viewer)
    assert autocomplete(browser, "/account/password", "current_password", "password") == [
        "current-password",
        "new-password",
    ]
    assert autocomplete(browser, "/account/email", "email", "password") == [
        "email",
        "current-password",
    ]
    assert autocomplete(browser, "/account/delete", "proof") == ["current-password"]


def test_a_password_page_names_its_account_to_password_managers(browser_of, viewer) -> None:
    page = read(browser_of(viewer).get("/account/password").content)
    (account,) = [
        each.attributes
        for each in page.all("input")
        if each.attributes.get("autocomplete") == "username"
    ]
    assert (account["value"], "hidden" in account, "name" in account) == (viewer.email, True, False)


def test_an_error_is_tied_to_its_field(stranger) -> None:
    answer = stranger.post("/sign-up", {"email": "no address", "password": ""})
    page = read(answer.content)
    field = page.input("email")
    assert answer.status_code == 400
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "id_email_error")
    assert page.texts["id_email_error"].strip() == (
        "Enter one email address, like name@example.com."
    )
    assert page.input("password")["aria-describedby"] == "id_password_error"


def test_a_valid_field_is_not_marked(stranger) -> None:
    page = read(stranger.post("/sign-up", {"email": "a@example.com", "password": ""}).content)
    assert "aria-invalid" not in page.input("email")


def test_a_field_is_described_by_help_and_error(browser_of, viewer, editor) -> None:
    browser = browser_of(viewer)
    answer = browser.post("/account/", {"name": "Vera", "username": "no spaces allowed"})
    page = read(answer.content)
    assert page.input("username")["aria-describedby"] == "id_username_helptext id_username_error"
    assert page.texts["id_username_helptext"] == (
        "You can sign in with it instead of your address."
    )


def test_an_error_of_the_whole_form_is_an_alert(stranger) -> None:
    content = stranger.post("/sign-in", {"login": "x", "password": "y"}).content.decode()
    assert content.count('role="alert"') == 1
    assert "The email address or password is incorrect." in content
    assert "<title>Error: Sign in" in content


def test_a_password_is_never_shown_again(stranger) -> None:
    page = read(stranger.post("/sign-in", {"login": "x", "password": "typed secret"}).content)
    assert (page.input("login")["value"], "value" in page.input("password")) == ("x", False)


def test_every_form_of_the_sign_in_page_keeps_next(stranger) -> None:
    page = read(stranger.get("/sign-in", {"next": "/admin/"}).content)
    kept = [
        each.attributes["value"]
        for each in page.all("input")
        # The language switch has a `next` of its own, without an id.
        if each.attributes.get("name") == "next" and "id" in each.attributes
    ]
    # The form asks for a password or, by its second button, for a link.
    assert kept == ["/admin/"]
