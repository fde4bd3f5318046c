"""Apps in the admin: who sees and changes them, and the question before a deletion."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from applications.models import App
from applications.services.apps import create_app
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
APPS = "/admin/applications/app/"


@pytest.fixture
def app(owner: User) -> App:
    made = create_app(actor=owner, app=App(name="Wiki", url="https://wiki.example.com"))
    create_rule(actor=owner, rule=AccessRule(name="Who reads", effect="role", app=made))
    return made


def form_of(app: App, **fields: str) -> dict[str, str]:
    return {
        "name": app.name,
        "url": app.url,
        "description": "",
        "initials": "",
        "position": "10",
        "is_listed": "on",
        "proxy": "nginx",
        "upstream": "",
        "slug": app.slug,
        **fields,
    }


def test_an_empty_list_leads_to_the_wizard(owner: User, admin: User, browser_of: BrowserOf) -> None:
    assert f'href="{APPS}protect/"' in browser_of(owner).get(APPS).content.decode()
    assert f'href="{APPS}protect/"' not in browser_of(admin).get(APPS).content.decode()
    assert browser_of(owner).get(f"{APPS}add/")["Location"] == f"{APPS}protect/"


def test_owners_change_an_app(app: App, owner: User, browser_of: BrowserOf) -> None:
    answer = browser_of(owner).post(
        f"{APPS}{app.pk}/change/", form_of(app, description="What we know.", initials="Wi")
    )

    assert answer.status_code == 302
    app.refresh_from_db()
    assert (app.description, app.mark, app.proxy) == ("What we know.", "Wi", "nginx")


def test_errors_stand_beside_their_fields(app: App, owner: User, browser_of: BrowserOf) -> None:
    answer = browser_of(owner).post(
        f"{APPS}{app.pk}/change/", form_of(app, url="nothing here", upstream="x")
    )

    assert answer.status_code == 200
    assert set(answer.context["adminform"].form.errors) == {"url", "upstream"}
    app.refresh_from_db()
    assert app.url == "https://wiki.example.com"


def test_admins_look_and_change_nothing(app: App, admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)

    assert browser.get(APPS).status_code == 200
    page = browser.get(f"{APPS}{app.pk}/change/")
    assert page.status_code == 200
    assert "Who reads" in page.content.decode()
    assert browser.post(f"{APPS}{app.pk}/change/", form_of(app, name="x")).status_code == 403
    assert browser.post(f"{APPS}{app.pk}/delete/", {"post": "yes"}).status_code == 403
    assert browser.get(f"{APPS}protect/").status_code == 403
    assert App.objects.get().name == "Wiki"


def test_the_deletion_asks_and_names_the_rules_that_stay(
    app: App, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    page = browser.get(f"{APPS}{app.pk}/delete/").content.decode()

    assert "Delete the app <strong>Wiki</strong>?" in page
    assert "This rule stays and applies as before: Who reads." in page
    assert App.objects.exists()
    assert browser.post(f"{APPS}{app.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not App.objects.exists()
    assert AccessRule.objects.get().app is None


def test_rules_are_filtered_by_app(app: App, owner: User, browser_of: BrowserOf) -> None:
    create_rule(actor=owner, rule=AccessRule(name="Elsewhere", effect="deny"))
    browser, rules = browser_of(owner), "/admin/forward_auth/accessrule/"

    assert [row.name for row in browser.get(rules).context["cl"].result_list] == [
        "Who reads",
        "Elsewhere",
    ]
    of_app = browser.get(f"{rules}?app=wiki").context["cl"].result_list
    without = browser.get(f"{rules}?app=-").context["cl"].result_list
    assert ([row.name for row in of_app], [row.name for row in without]) == (
        ["Who reads"],
        ["Elsewhere"],
    )
    # The first matches every request, which the filter hides.
    assert "Never reached" in browser.get(f"{rules}?app=-").content.decode()


def test_other_ids_of_people_are_confirmed_by_a_box(
    app: App, owner: User, browser_of: BrowserOf
) -> None:
    """It stands beside the choice, and only while it is needed; the rest of the form stays."""
    App.objects.update(openid_kind="spa", redirect_uris=["https://wiki.example.com/back"])
    browser, path = browser_of(owner), f"{APPS}{app.pk}/change/"
    openid = {"openid_kind": "spa", "redirect_uris": "https://wiki.example.com/back"}
    assert 'name="confirmed"' not in browser.get(path).content.decode()
    form = form_of(app, **openid, subject_type="pairwise", description="Mine.")

    asked = browser.post(path, form)

    assert asked.status_code == 200
    text = asked.content.decode()
    assert "people get new, empty accounts in the app" in text
    assert 'name="confirmed"' in text
    assert 'value="Mine."' in text
    app.refresh_from_db()
    assert (app.subject_type, app.description) == ("public", "")
    # Another error does not take the box away.
    assert (
        'name="confirmed"'
        in browser.post(path, form | {"confirmed": "on", "url": "nothing here"}).content.decode()
    )

    assert browser.post(path, form | {"confirmed": "on"}).status_code == 302
    app.refresh_from_db()
    assert (app.subject_type, app.description) == ("pairwise", "Mine.")
    assert 'name="confirmed"' not in browser.get(path).content.decode()
