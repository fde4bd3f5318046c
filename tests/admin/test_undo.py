"""Undo in the admin: links, the page that asks, the offer after a change, and what refuses."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.services import users
from accounts.sessions.reauthentication import LIFETIME
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
Move = Callable[[timedelta], object]
LOG = "/admin/audit/auditevent/"


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def last() -> AuditEvent:
    return AuditEvent.objects.latest("seq")


def told(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def page_of(event: AuditEvent) -> str:
    return f"{LOG}{event.seq}/undo/"


def test_a_change_is_offered_to_undo_and_undone_in_two_steps(panel: Client, viewer: User) -> None:
    page = f"/admin/accounts/user/{viewer.pk}/"
    form = {"email": viewer.email, "name": viewer.name, "username": "vera", "role": "editor"}
    answer = panel.post(f"{page}change/", form)
    assert answer.status_code == 302
    event = last()
    shown = told(panel, answer["Location"])
    assert (
        "Olga Owner changed the role of Vera Viewer from viewer to editor. "
        f'<a class="undo-link" href="{page_of(event)}">Undo…</a>'
    ) in shown

    asked = told(panel, page_of(event))
    assert re.search(r"<dt>Now</dt><dd>editor</dd>", asked)
    assert re.search(r"<dt>After undoing</dt><dd><strong>viewer</strong></dd>", asked)
    assert User.objects.get(pk=viewer.pk).role == "editor"
    answer = panel.post(page_of(event))

    done = last()
    assert (answer.status_code, answer["Location"]) == (302, f"{LOG}{done.seq}/change/")
    assert User.objects.get(pk=viewer.pk).role == "viewer"
    assert done.undoes == event.seq
    entry = told(panel, answer["Location"])
    assert f"from editor to viewer. This undoes entry {event.seq}." in entry
    assert f'<a class="undo-link" href="{page_of(done)}">Undo…</a>' in entry
    assert f'<a href="{LOG}{event.seq}/change/">{event.seq}</a>' in entry
    assert f"Undone by entry {done.seq}" in told(panel, f"{LOG}{event.seq}/change/")


def test_the_list_the_entry_and_the_history_link_to_the_page(
    panel: Client, owner: User, viewer: User
) -> None:
    users.disable_user(actor=owner, user=viewer)
    event = last()
    link = f'href="{page_of(event)}"'

    for path in (LOG, f"{LOG}{event.seq}/change/", f"/admin/accounts/user/{viewer.pk}/change/"):
        assert link in told(panel, path), path
    panel.post(page_of(event))
    for path in (LOG, f"{LOG}{event.seq}/change/", f"/admin/accounts/user/{viewer.pk}/change/"):
        assert link not in told(panel, path), path


def test_an_entry_that_cannot_be_undone_says_why(panel: Client, owner: User, viewer: User) -> None:
    users.delete_user(actor=owner, user=viewer)
    event = last()
    reason = (
        "This cannot be undone, because the account and everything that belonged to it are "
        "deleted. Create or invite the person again."
    )

    assert reason in told(panel, f"{LOG}{event.seq}/change/")
    assert reason in told(panel, page_of(event))
    assert "Yes, undo" not in told(panel, page_of(event))
    assert f'href="{page_of(event)}"' not in told(panel, LOG)
    assert panel.post(page_of(event)).status_code == 302
    assert not AuditEvent.objects.filter(undoes__isnull=False).exists()


def test_a_change_since_is_told_before_and_refused_after(
    panel: Client, owner: User, viewer: User
) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    assert "Yes, undo this change" in told(panel, page_of(event))
    users.change_role(actor=owner, user=viewer, role="admin")

    answer = panel.post(page_of(event))

    assert (answer.status_code, answer["Location"]) == (302, page_of(event))
    shown = told(panel, page_of(event))
    assert "It was changed again on" in shown
    assert "from editor to admin." in shown
    assert "Yes, undo" not in shown
    assert User.objects.get(pk=viewer.pk).role == "admin"


def test_an_administrator_is_told_that_the_rank_does_not_allow_it(
    browser_of: BrowserOf, owner: User, admin: User
) -> None:
    create_rule(actor=owner, rule=AccessRule(name="Shop", effect="public", host="shop.example.com"))
    browser, event = browser_of(admin), AuditEvent.objects.get(action="sso:rule:create")

    assert "Only owners change rules." in told(browser, page_of(event))
    assert browser.post(page_of(event)).status_code == 302
    assert AccessRule.objects.count() == 1


@pytest.mark.parametrize("number", ["0", "999999", str(2**63), str(10**30)])
def test_an_unknown_entry_is_not_found(panel: Client, number: str) -> None:
    assert panel.get(f"{LOG}{number}/undo/").status_code == 404
    assert panel.post(f"{LOG}{number}/undo/").status_code == 404


def test_undo_needs_an_administrator(
    browser_of: BrowserOf, stranger: Client, owner: User, editor: User, viewer: User
) -> None:
    users.disable_user(actor=owner, user=viewer)
    event = last()

    assert browser_of(editor).post(page_of(event)).status_code == 403
    assert stranger.post(page_of(event))["Location"].startswith("/sign-in?")
    assert not User.objects.get(pk=viewer.pk).is_active


def test_undo_asks_for_the_password_after_a_while_and_then_does_it(
    panel: Client, owner: User, viewer: User, at_time: Move
) -> None:
    users.disable_user(actor=owner, user=viewer)
    event = last()
    at_time(LIFETIME + timedelta(minutes=1))

    answer = panel.post(page_of(event))

    assert answer["Location"].startswith("/confirm?")
    assert not User.objects.get(pk=viewer.pk).is_active
    confirm = told(panel, answer["Location"])
    assert "Undo: Olga Owner disabled the account of Vera Viewer." in confirm
    fields = dict(re.findall(r'name="(_pending_form|next)" value="([^"]*)"', confirm))
    answer = panel.post(answer["Location"], fields | {"password": PASSWORD}, follow=False)
    assert answer.status_code == 307
    panel.post(answer["Location"], fields | {"password": PASSWORD})
    assert User.objects.get(pk=viewer.pk).is_active


def test_many_changes_are_offered_as_one_link(
    panel: Client, make_user: Callable[..., User]
) -> None:
    people = [make_user("viewer", f"v{number}@example.com") for number in range(5)]
    form = {
        "action": "change_role_of_people",
        "confirmed": "yes",
        "role": "editor",
        "_selected_action": [str(user.pk) for user in people],
    }

    answer = panel.post("/admin/accounts/user/", form)
    shown = told(panel, answer["Location"])

    assert shown.count('class="undo-link"') == 4
    assert (
        f'<a class="undo-link" href="{LOG}">2 more changes can be undone in the audit log.</a>'
        in shown
    )


def test_what_is_refused_is_not_offered(panel: Client, owner: User) -> None:
    answer = panel.post(f"/admin/accounts/user/{owner.pk}/disable/", follow=True)

    assert "undo-link" not in answer.content.decode().partition('id="history"')[0]


def test_names_are_escaped_in_the_offer(panel: Client, make_user: Callable[..., User]) -> None:
    user = make_user("viewer", "x@example.com", name="<b>Bold</b>")

    answer = panel.post(f"/admin/accounts/user/{user.pk}/disable/", follow=True)

    shown = answer.content.decode()
    assert "&lt;b&gt;Bold&lt;/b&gt;" in shown
    assert "<b>Bold" not in shown


def test_an_owner_who_demoted_themselves_is_signed_out_and_offered_nothing(
    panel: Client, owner: User, make_user: Callable[..., User]
) -> None:
    make_user("owner", "second@example.com")
    answer = panel.post(f"/admin/accounts/user/{owner.pk}/disable/")

    assert answer.status_code == 302
    assert panel.get(reverse("admin:index")).status_code == 302
