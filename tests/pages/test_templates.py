"""Rules for every template and every page."""

import dataclasses
import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

from tests.pages.all_pages import open_all
from tests.pages.pages import read

ROOT = Path(settings.BASE_DIR) / "templates"
TEMPLATES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.html")
    if path.relative_to(ROOT).parts[0] != "mail"  # mails need style attributes
)
INLINE = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "a script without src": re.compile(r"<script\b(?![^>]*\ssrc=)", re.IGNORECASE),
    "a javascript address": re.compile(r"javascript:", re.IGNORECASE),
}
# Goes to an app, which must not learn our token.
TO_AN_APP = "oidc_provider/form_post.html"
POST_FORM = re.compile(r"<form\b[^>]*method=\"post\".*?</form>", re.IGNORECASE | re.DOTALL)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_compiles_and_has_nothing_inline(name: str) -> None:
    get_template(name)
    text = (ROOT / name).read_text()
    assert [what for what, pattern in INLINE.items() if pattern.search(text)] == []


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != TO_AN_APP])
def test_every_post_form_of_a_template_carries_the_csrf_token(name: str) -> None:
    forms = POST_FORM.findall((ROOT / name).read_text())
    assert [form for form in forms if "{% csrf_token %}" not in form] == []


@pytest.mark.django_db
def test_every_page_has_a_language_a_title_and_one_heading(
    stranger, browser_of, owner, viewer
) -> None:
    opened = open_all(stranger, browser_of, owner, viewer)
    assert len(opened) == 22
    assert [name for name, answer in opened if answer.status_code >= 500] == []
    for name, answer in opened:
        page = read(answer.content)
        facts = (
            page.all("html")[0].attributes["lang"],
            len(page.all("h1")),
            len(page.all("main")),
            len(page.all("title")),
        )
        assert facts == ("en", 1, 1, 1), name


@pytest.mark.django_db
def test_every_post_form_of_a_page_has_a_token(stranger, browser_of, owner, viewer) -> None:
    for name, answer in open_all(stranger, browser_of, owner, viewer):
        page = read(answer.content)
        inputs = [each for each in page.all("input") if "name" in each.attributes]
        guarded = {
            each.form
            for each in inputs
            if each.attributes["name"] == "csrfmiddlewaretoken" and each.attributes["value"]
        }
        posts = {form.form for form in page.all("form") if form.attributes["method"] == "post"}
        assert posts or name == "link sent", name
        assert posts <= guarded, name


@pytest.mark.django_db
def test_ids_are_unique_and_every_label_has_its_field(stranger, browser_of, owner, viewer) -> None:
    for name, answer in open_all(stranger, browser_of, owner, viewer):
        page = read(answer.content)
        ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
        targets = {label.attributes["for"] for label in page.all("label")}
        assert sorted(set(ids)) == sorted(ids), name
        assert targets <= set(ids), name


@pytest.mark.django_db
def test_pages_follow_the_language_of_the_browser(stranger) -> None:
    page = read(stranger.get("/sign-in", headers={"accept-language": "de"}).content)
    assert page.all("html")[0].attributes["lang"] == "de"


@pytest.mark.django_db
def test_the_language_switch_returns_to_the_page(stranger) -> None:
    page = read(stranger.get("/sign-in?notice=signed-out").content)
    (form,) = [each for each in page.all("form") if each.attributes["action"] == "/language"]
    (back,) = [
        each.attributes["value"]
        for each in page.all("input")
        if each.form == form.form and each.attributes["name"] == "next"
    ]
    answer = stranger.post("/language", {"language": "de", "next": back})
    assert (back, answer.status_code, answer["Location"]) == (
        "/sign-in?notice=signed-out",
        302,
        back,
    )
    assert read(stranger.get(back).content).all("html")[0].attributes["lang"] == "de"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("notice", "shown"),
    [
        ("signed-out", ["You are signed out."]),
        ("account-deleted", ["Your account is deleted."]),
        ("link-expired", ["This link has expired. Ask for a new one."]),
        ("password-changed", ["Your password is changed. You can sign in with it now."]),
        ("<script>", []),
        ("", []),
    ],
)
def test_only_known_notices_are_shown(stranger, notice: str, shown: list[str]) -> None:
    content = stranger.get("/sign-in", {"notice": notice}).content.decode()
    assert re.findall(r'role="status"><p>([^<]*)</p>', content) == shown


@pytest.mark.django_db
def test_only_administrators_have_the_admin_in_the_menu(browser_of, viewer, admin) -> None:
    def menu(user: object) -> list[str]:
        page = read(browser_of(user).get("/account/").content)
        return [link.attributes["href"] for link in page.all("a")][2:4]

    assert menu(admin) == ["/account/", "/admin/"]
    assert menu(viewer) == ["/account/", "/account/email"]


@pytest.mark.django_db
def test_allauth_pages_have_the_same_layout(rf) -> None:
    template = get_template("account/account_inactive.html")
    page = read(template.render({}, rf.get("/")).encode())
    stylesheets = [link.attributes["href"] for link in page.all("link")]
    assert (stylesheets[1], len(page.all("h1")), len(page.all("main"))) == (
        "/static/gatehouse.css",
        1,
        1,
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "unsent", "sent"),
    [
        ("/password/forgot", "This server has no mail service", "Check your mail"),
        ("/magic-link", "Ask for your link", "Check your mail"),
    ],
)
def test_a_page_promises_a_mail_only_if_mail_is_configured(
    stranger, settings, owner, path: str, unsent: str, sent: str
) -> None:
    def heading() -> str:
        content = stranger.post(path, {"email": "somebody@example.com"}).content.decode()
        return content.partition("<h1>")[2].partition("</h1>")[0]

    assert heading() == unsent
    settings.MAIL = dataclasses.replace(settings.MAIL, transport="smtp")
    assert heading() == sent


@pytest.mark.django_db
def test_the_language_switch_never_redirects_to_a_post_only_page(
    browser_of, make_user, settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    browser = browser_of(make_user(is_verified=False))
    assert '<input type="hidden" name="next" value="/">' in (
        browser.post("/verify-email/").content.decode()
    )


@pytest.mark.django_db
def test_an_account_without_a_role_gets_a_message(browser_of, make_user) -> None:
    content = browser_of(make_user("none")).get("/account/").content.decode()
    assert content.count("Your account waits for access") == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("transport", "offers"), [("smtp", 1), ("none", 0)])
def test_an_unverified_address_is_marked_and_can_be_verified_again(
    browser_of, make_user, settings, transport, offers
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    settings.MAIL = replace(settings.MAIL, transport=transport)
    page = read(browser_of(make_user(is_verified=False)).get("/account/").content)
    forms = [form.attributes.get("action") for form in page.all("form")]
    assert forms.count("/verify-email/") == offers


@pytest.mark.django_db
def test_pages_work_without_collected_static_files(stranger, settings, tmp_path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "core.web.static_files.HashedStaticFilesStorage"},
    }
    page = read(stranger.get("/sign-in").content)
    assert page.all("link")[1].attributes["href"] == "/static/gatehouse.css"
