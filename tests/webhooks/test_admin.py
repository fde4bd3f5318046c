"""Webhooks in the admin: what each role sees and may do, and what hostile answers look like."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from tests.conftest import MakeUser
from tests.webhooks.conftest import MakeEndpoint
from tests.webhooks.receiver import Receiver, answer
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import sending
from webhooks.services.endpoints import secrets_of

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
TABLE = "/admin/webhooks/webhookendpoint/"
LOG = "/admin/webhooks/webhookdelivery/"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def test_an_owner_adds_a_webhook_and_sees_its_secret_once(owner: User, browser: Client) -> None:
    form = {
        "name": "Chat",
        "url": "https://chat.example.com/secret-path",
        "event_types": ["user.created", "ban.created"],
        "is_enabled": "on",
    }

    page = browser.post(f"{TABLE}add/", form)

    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    row = WebhookEndpoint.objects.get()
    (secret,) = secrets_of(row)
    assert page.content.decode().count(secret) == 1
    assert row.event_types == ["user.created", "ban.created"]
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id) == ("webhook:endpoint:create", owner.pk)
    for path in (TABLE, f"{TABLE}{row.pk}/change/", "/admin/audit/auditevent/"):
        assert secret not in browser.get(path).content.decode()
    assert "secret-path" not in browser.get(TABLE).content.decode()


def test_every_error_is_told_beside_its_field(browser: Client) -> None:
    page = browser.post(f"{TABLE}add/", {"name": "", "url": "https://127.0.0.1/"})

    errors = page.context["adminform"].form.errors
    assert set(errors) == {"name", "url"}
    assert "WEBHOOK_ALLOWED_NETWORKS" in str(errors["url"])
    assert not WebhookEndpoint.objects.exists()


def test_an_owner_changes_and_deletes_it_with_its_log(
    owner: User, browser: Client, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    sending.send_test(actor=owner, endpoint=endpoint)
    path = f"{TABLE}{endpoint.pk}/"

    changed = browser.post(f"{path}change/", {"name": "Other", "url": receiver.url})
    assert (changed.status_code, changed["Location"]) == (302, TABLE)
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.is_enabled) == ("Other", False)
    asked = browser.get(f"{path}delete/")
    assert b"Delete the webhook <strong>Other</strong>?" in asked.content
    assert browser.post(f"{path}delete/", {"post": "yes"}).status_code == 302
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_the_secret_is_replaced_and_shown_once(browser: Client, endpoint: WebhookEndpoint) -> None:
    (old,) = secrets_of(endpoint)
    path = f"{TABLE}{endpoint.pk}/rotate/"
    assert browser.get(path).status_code == 200
    assert secrets_of(WebhookEndpoint.objects.get()) == [old]

    page = browser.post(path, {"overlap_hours": "0"})

    (new,) = secrets_of(WebhookEndpoint.objects.get())
    assert new != old
    assert page.content.decode().count(new) == 1
    assert b"errornote" in browser.post(path, {"overlap_hours": "5"}).content


def test_a_test_event_leads_to_its_delivery(
    admin: User, browser_of: BrowserOf, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    browser = browser_of(admin)

    sent = browser.post(f"{TABLE}{endpoint.pk}/test/")

    row = WebhookDelivery.objects.get()
    assert (sent.status_code, sent["Location"]) == (302, f"{LOG}{row.pk}/change/")
    assert b"It has not been sent yet." in browser.get(sent["Location"]).content
    sending.deliver_due()
    assert b"status 200" in browser.get(sent["Location"]).content


def test_a_hostile_answer_is_shown_as_text(
    admin: User, browser_of: BrowserOf, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    sending.send_test(actor=admin, endpoint=endpoint)
    receiver.default = answer(500, HOSTILE)
    sending.deliver_due()
    browser = browser_of(admin)

    page = browser.get(f"{LOG}{WebhookDelivery.objects.get().pk}/change/").content.decode()

    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<script>alert" not in browser.get(LOG).content.decode()


def test_deliveries_are_filtered_searched_and_sent_again(
    admin: User,
    browser_of: BrowserOf,
    receiver: Receiver,
    make_endpoint: MakeEndpoint,
) -> None:
    first, second = (
        make_endpoint(name=name, event_types=["ban.created"]).endpoint for name in ("a", "b")
    )
    for endpoint in (first, second):
        sending.send_test(actor=admin, endpoint=endpoint)
    sending.deliver_due()
    browser = browser_of(admin)
    row = first.deliveries.get()

    for query in (f"webhook={first.pk}", f"q={row.event_id}", f"q={row.pk}"):
        found = browser.get(f"{LOG}?{query}&event_type=webhook.test&status=done")
        assert [each.pk for each in found.context["cl"].result_list] == [row.pk]
    form = {"action": "send_events_again", "_selected_action": [str(row.pk)]}
    assert browser.post(LOG, form).status_code == 302
    assert browser.post(LOG, form).status_code == 302
    assert first.deliveries.count() == 2
    assert sending.deliver_due() == 1


def test_administrators_read_and_do_not_change(
    admin: User, browser_of: BrowserOf, endpoint: WebhookEndpoint
) -> None:
    browser, path = browser_of(admin), f"{TABLE}{endpoint.pk}/"

    page = browser.get(f"{path}change/")
    assert page.status_code == 200
    assert b"Replace the secret" not in page.content
    assert b"Only owners change webhooks." in browser.get(TABLE).content
    assert browser.get(f"{TABLE}add/").status_code == 403
    assert browser.post(f"{path}change/", {"name": "x"}).status_code == 403
    assert browser.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    before = endpoint.sealed_secret
    assert browser.post(f"{path}rotate/", {"overlap_hours": "0"}).status_code == 403
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.sealed_secret) == ("Chat", before)


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_others_see_nothing(
    make_user: MakeUser, browser_of: BrowserOf, endpoint: WebhookEndpoint, role: str
) -> None:
    browser = browser_of(make_user(role))

    for path in (TABLE, LOG, f"{TABLE}notices/", f"{TABLE}{endpoint.pk}/change/"):
        assert browser.get(path).status_code == 403
    assert browser.post(f"{TABLE}{endpoint.pk}/test/").status_code == 403
    assert not WebhookDelivery.objects.exists()


def test_the_menu_tells_that_a_webhook_fails(
    browser: Client, endpoint: WebhookEndpoint, receiver: Receiver, owner: User
) -> None:
    assert b"failing" not in browser.get(TABLE).content
    receiver.default = answer(500)
    sending.send_test(actor=owner, endpoint=endpoint)
    sending.deliver_due()

    assert b"failing" in browser.get("/admin/").content


@pytest.mark.parametrize("key", ["00000000-0000-0000-0000-000000000000"])
def test_unknown_rows_are_not_found(browser: Client, key: str) -> None:
    for page in ("rotate", "test"):
        assert browser.post(f"{TABLE}{key}/{page}/").status_code == 404
