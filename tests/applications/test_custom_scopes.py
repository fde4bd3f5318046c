"""Scopes of the owners' own: who makes them, what is refused, and the audit log."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.undo import find_event, undo
from applications.models import App, CustomScope
from applications.services.apps import create_app
from applications.services.custom_scopes import create_scope, delete_scope, edit_scope
from audit.models import AuditEvent
from audit.sentences import sentence
from core.errors import CannotUndo, Forbidden, RecordInvalid
from tests.api.calls import call, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE = "/admin/applications/customscope/"
BOOKS = {"name": "books:read", "description": "read your books"}


def last() -> AuditEvent:
    return AuditEvent.objects.latest("seq")


@pytest.fixture
def books(owner: User) -> CustomScope:
    return create_scope(actor=owner, values=BOOKS)


@pytest.fixture
def wiki(owner: User, books: CustomScope) -> App:
    app = App(name="Wiki", url="https://wiki.example.com", custom_scopes=[books.name])
    return create_app(actor=owner, app=app)


def test_owners_make_describe_and_delete_a_scope_by_the_api(
    owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)

    made = call(browser, "POST", "openid-scopes", BOOKS)

    assert made.status_code == 201, made.content
    scope = CustomScope.objects.get()
    assert made["Location"] == f"http://localhost:8000/api/v1/openid-scopes/{scope.pk}"
    record = made.json()
    assert record.pop("created_at")
    assert record == {"id": str(scope.pk), **BOOKS, "audience_id": None, "is_public": True}
    path = f"openid-scopes/{scope.pk}"
    assert call(browser, "GET", path).json()["name"] == "books:read"
    changed = call(browser, "PATCH", path, {"description": "  x "}).json()
    assert (changed["description"], changed["is_public"]) == ("x", True)
    assert call(browser, "PATCH", path, changed).status_code == 200
    assert call(browser, "GET", "openid-scopes").json()["results"] == [changed]
    assert call(browser, "DELETE", path).status_code == 204
    assert problem(call(browser, "GET", path)) == (404, "not_found")
    events = AuditEvent.objects.filter(action__startswith="openid:scope:", actor_id=owner.pk)
    assert [sentence(event, actor="Eva") for event in events.order_by("seq")] == [
        "Eva made the scope “books:read”: description: read your books; in discovery: yes; API: -.",
        "Eva changed the scope “books:read” from description: read your books to description: x.",
        "Eva deleted the scope “books:read”: description: x; in discovery: yes; API: -; apps: -.",
    ]


@pytest.mark.parametrize(
    "name",
    ["", "books read", 'books"', "books\\read", "bücher", "a\tb", "openid", "OpenID", "phone",
     "offline_access", "write", "x" * 61],
)  # fmt: skip
def test_a_name_is_a_token_of_its_own(name: str, owner: User) -> None:
    with pytest.raises(RecordInvalid) as error:
        create_scope(actor=owner, values={**BOOKS, "name": name})

    assert set(error.value.errors) == {"name"}
    assert not CustomScope.objects.exists()
    assert not AuditEvent.objects.filter(action="openid:scope:create").exists()


def test_names_are_unique_and_stay(owner: User, books: CustomScope) -> None:
    with pytest.raises(RecordInvalid, match="Another scope has this name"):
        create_scope(actor=owner, values=BOOKS)
    with pytest.raises(RecordInvalid, match="The name of a scope stays"):
        edit_scope(actor=owner, scope=books, changes={"name": "books:write"})
    assert CustomScope.objects.get().name == "books:read"


def test_only_owners_change_scopes(
    owner: User, admin: User, editor: User, books: CustomScope, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    assert call(browser, "GET", "openid-scopes").status_code == 200
    for method, path, body in (
        ("POST", "openid-scopes", {**BOOKS, "name": "other"}),
        ("PATCH", f"openid-scopes/{books.pk}", {"description": "x"}),
        ("DELETE", f"openid-scopes/{books.pk}", None),
    ):
        assert problem(call(browser, method, path, body)) == (403, "forbidden")
    with pytest.raises(Forbidden, match="Only owners"):
        delete_scope(actor=admin, scope=books)
    assert browser.get(PAGE).status_code == 200
    assert browser.post(f"{PAGE}add/", {**BOOKS, "name": "other"}).status_code == 403
    assert browser.post(f"{PAGE}{books.pk}/delete/", {"post": "yes"}).status_code == 403
    assert problem(call(browser_of(editor), "GET", "openid-scopes")) == (403, "forbidden")
    assert list(CustomScope.objects.values_list("name", flat=True)) == ["books:read"]


def test_an_app_lists_scopes_that_exist(wiki: App, owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)

    refused = call(browser, "PATCH", f"apps/{wiki.pk}", {"custom_scopes": ["books:burn"]})
    assert refused.status_code == 402
    assert refused.json()["errors"] == {
        "custom_scopes": ["There is no scope “books:burn”. Make it first."]
    }
    listed = call(browser, "GET", f"apps/{wiki.pk}").json()
    assert listed["custom_scopes"] == ["books:read"]


def test_a_deletion_takes_the_scope_from_its_apps(
    wiki: App, books: CustomScope, owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    asked = browser.get(f"{PAGE}{books.pk}/delete/").content.decode()
    assert "<li>Wiki</li>" in asked

    assert browser.post(f"{PAGE}{books.pk}/delete/", {"post": "yes"}).status_code == 302

    wiki.refresh_from_db()
    assert wiki.custom_scopes == []
    assert not CustomScope.objects.exists()
    assert last().detail["before"] == {
        "description": "read your books", "is_public": True, "audience_id": None, "audience": "",
        "apps": ["Wiki"],
    }  # fmt: skip


def test_owners_manage_scopes_in_the_panel(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)

    bad = browser.post(f"{PAGE}add/", {"name": "openid", "description": ""})
    assert set(bad.context["adminform"].form.errors) == {"name", "description"}
    assert browser.post(f"{PAGE}add/", {**BOOKS, "is_public": "on"}).status_code == 302
    scope = CustomScope.objects.get()
    assert (scope.name, scope.is_public) == ("books:read", True)
    taken = browser.post(f"{PAGE}add/", {**BOOKS, "is_public": "on"})
    assert (taken.status_code, CustomScope.objects.count()) == (200, 1)

    change: dict[str, Any] = {"name": "other", "description": "read all books"}
    assert browser.post(f"{PAGE}{scope.pk}/change/", change).status_code == 302
    scope.refresh_from_db()
    assert (scope.name, scope.description, scope.is_public) == (
        "books:read", "read all books", False,
    )  # fmt: skip


def test_the_form_of_an_app_offers_the_scopes(
    wiki: App, owner: User, browser_of: BrowserOf
) -> None:
    create_scope(actor=owner, values={"name": "books:write", "description": "lend"})
    browser = browser_of(owner)
    page = browser.get(f"/admin/applications/app/{wiki.pk}/change/").content.decode()
    assert "books:read: read your books" in page

    form = {
        "name": wiki.name, "url": wiki.url, "slug": wiki.slug, "position": "10",
        "openid_kind": "spa", "redirect_uris": "https://wiki.example.com/cb",
        "custom_scopes": ["books:write", "books:read"],
    }  # fmt: skip
    done = browser.post(f"/admin/applications/app/{wiki.pk}/change/", form)

    assert done.status_code == 302
    wiki.refresh_from_db()
    assert wiki.custom_scopes == ["books:read", "books:write"]


def test_a_description_is_taken_back(owner: User, admin: User, books: CustomScope) -> None:
    edit_scope(actor=owner, scope=books, changes={"description": "burn them"})
    event = find_event(last().seq)
    assert event is not None
    with pytest.raises(Forbidden):
        undo(actor=admin, event=event)

    undo(actor=owner, event=event)

    assert CustomScope.objects.get().description == "read your books"
    delete_scope(actor=owner, scope=books)
    gone = find_event(AuditEvent.objects.filter(action="openid:scope:change").latest("seq").seq)
    assert gone is not None
    with pytest.raises(CannotUndo, match="does not exist any more"):
        undo(actor=owner, event=gone)


def test_a_scope_names_the_app_that_is_its_api(
    books: CustomScope, owner: User, browser_of: BrowserOf
) -> None:
    """Audited by name, undone by id, and no more when the app is gone."""
    library = create_app(actor=owner, app=App(name="Library", url="https://library.example.com"))
    browser, path = browser_of(owner), f"openid-scopes/{books.pk}"
    nobody = {"audience_id": "00000000-0000-7000-8000-000000000009"}
    refused = call(browser, "PATCH", path, nobody)
    assert (refused.status_code, set(refused.json()["errors"])) == (402, {"audience_id"})

    form = {**BOOKS, "audience": str(library.pk), "is_public": "on"}
    assert browser.post(f"{PAGE}{books.pk}/change/", form).status_code == 302

    assert call(browser, "GET", path).json()["audience_id"] == str(library.pk)
    assert sentence(last(), actor="Olga") == (
        "Olga changed the scope “books:read” from API: - to API: Library."
    )
    event = find_event(last().seq)
    assert event is not None
    done = undo(actor=owner, event=event)
    assert CustomScope.objects.get().audience is None
    again = find_event(done.seq)
    assert again is not None
    undo(actor=owner, event=again)
    assert CustomScope.objects.get().audience == library
    assert call(browser, "DELETE", f"apps/{library.pk}").status_code == 204
    assert CustomScope.objects.get().audience is None
