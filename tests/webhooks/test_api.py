"""Webhooks by the API."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from audit.models import AuditEvent
from tests.api.calls import call, problem
from tests.api.keys import call_with, made
from tests.conftest import MakeUser
from tests.webhooks.receiver import Receiver, answer
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import endpoints, sending

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
CHAT = {"name": "Chat", "url": "https://chat.example.com/x", "event_types": ["user.created"]}


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def test_a_webhook_is_made_and_its_secret_is_shown_once(owner: User, browser: Client) -> None:
    response = call(browser, "POST", "webhooks", CHAT)

    assert response.status_code == 201, response.content
    assert response["Cache-Control"] == "no-store"
    row = WebhookEndpoint.objects.get()
    assert response["Location"] == f"http://localhost:8000/api/v1/webhooks/{row.pk}"
    made_record = response.json()
    secret = made_record.pop("secret")
    assert endpoints.secrets_of(row) == [secret]
    assert made_record == call(browser, "GET", f"webhooks/{row.pk}").json()
    assert made_record.pop("created_at")
    assert made_record == CHAT | {
        "id": str(row.pk),
        "is_enabled": True,
        "disabled_reason": "",
        "failing_since": None,
        "last_success_at": None,
        "previous_secret_until": None,
    }
    for path in ("webhooks", f"webhooks/{row.pk}", "audit-events"):
        assert secret not in call(browser, "GET", path).content.decode()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id) == ("webhook:endpoint:create", owner.pk)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["name", "url"]),
        (CHAT | {"url": "https://127.0.0.1/", "event_types": ["x"]}, ["event_types.0", "url"]),
        (CHAT | {"url": "https://user:secret@example.com/"}, ["url"]),
        (CHAT | {"secret": "whsec_x", "nmae": "x"}, ["nmae", "secret"]),
    ],
)
def test_all_that_is_wrong_is_told(browser: Client, fields: Any, wrong: list[str]) -> None:
    response = call(browser, "POST", "webhooks", fields)

    assert problem(response) == (402, "record_invalid")
    assert sorted(response.json()["errors"]) == wrong
    assert not WebhookEndpoint.objects.exists()


def test_a_webhook_is_changed_and_deleted(browser: Client, endpoint: WebhookEndpoint) -> None:
    path = f"webhooks/{endpoint.pk}"
    shown = call(browser, "GET", path).json()

    changed = call(browser, "PATCH", path, shown | {"is_enabled": False})
    assert changed.json() == shown | {"is_enabled": False, "disabled_reason": "by_hand"}
    assert problem(call(browser, "PATCH", path, {"created_at": "2020-01-01T00:00:00Z"})) == (
        402, "record_invalid",
    )  # fmt: skip
    assert call(browser, "DELETE", path).status_code == 204
    assert problem(call(browser, "GET", path)) == (404, "not_found")
    for method, place, body in (
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/rotate-secret", {}),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"webhooks/deliveries/{uuid.uuid4()}/resend", None),
    ):
        assert problem(call(browser, method, place, body)) == (404, "not_found")


def test_the_secret_is_replaced(browser: Client, endpoint: WebhookEndpoint) -> None:
    (old,) = endpoints.secrets_of(endpoint)
    path = f"webhooks/{endpoint.pk}/rotate-secret"

    record = call(browser, "POST", path, {}).json()
    endpoint.refresh_from_db()
    assert endpoints.secrets_of(endpoint) == [record["secret"], old]
    assert record["previous_secret_until"] is not None

    last = call(browser, "POST", path, {"overlap_hours": 0}).json()
    endpoint.refresh_from_db()
    assert endpoints.secrets_of(endpoint) == [last["secret"]]
    assert last["previous_secret_until"] is None
    assert problem(call(browser, "POST", path, {"overlap_hours": 169})) == (402, "record_invalid")
    assert AuditEvent.objects.filter(action="webhook:endpoint:rotate").count() == 2


def test_a_test_event_is_sent_listed_and_sent_again(
    admin: User, browser_of: BrowserOf, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    browser = browser_of(admin)
    endpoint.event_types = ["ban.created"]
    endpoint.save(update_fields=["event_types"])
    receiver.replies = [answer(410, "<script>gone</script>")]
    first = call(browser, "POST", f"webhooks/{endpoint.pk}/test")
    assert (first.status_code, first.json()["status"]) == (202, "queued")
    sending.deliver_due()
    resend = f"webhooks/deliveries/{first.json()['id']}/resend"
    assert problem(call(browser, "POST", resend)) == (402, "record_invalid")
    endpoints.edit_endpoint(actor=SYSTEM, endpoint=endpoint, changes={"is_enabled": True})

    again = call(browser, "POST", resend)

    assert again.status_code == 202
    assert problem(call(browser, "POST", resend)) == (402, "record_invalid")
    sending.deliver_due()
    path = f"webhooks/{endpoint.pk}/deliveries"
    found = call(browser, "GET", path).json()["results"]
    assert [(row["status"], row["response_status"]) for row in found] == [
        ("done", 200),
        ("failed", 410),
    ]
    assert found[1]["response"] == "<script>gone</script>"
    assert found[0]["event"] == found[1]["event"] == receiver.requests[0].event
    assert found[0]["event_id"] == found[1]["event_id"]
    assert found[0]["webhook_id"] == str(endpoint.pk)
    failed = call(browser, "GET", f"{path}?status=failed&event_type=webhook.test").json()
    assert [row["id"] for row in failed["results"]] == [first.json()["id"]]
    assert problem(call(browser, "GET", f"{path}?status=lost")) == (402, "record_invalid")


@pytest.mark.parametrize("role", ["none", "viewer", "editor"])
def test_others_have_no_access(
    make_user: MakeUser, browser_of: BrowserOf, endpoint: WebhookEndpoint, role: str
) -> None:
    browser = browser_of(make_user(role))
    sent = sending.send_test(actor=SYSTEM, endpoint=endpoint)
    path = f"webhooks/{endpoint.pk}"

    for method, place, body in (
        ("GET", "webhooks", None),
        ("POST", "webhooks", CHAT),
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/rotate-secret", {}),
        ("POST", f"{path}/test", None),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"webhooks/deliveries/{sent.pk}/resend", None),
    ):
        assert problem(call(browser, method, place, body)) == (403, "forbidden")
    assert (WebhookEndpoint.objects.count(), WebhookDelivery.objects.count()) == (1, 1)


def test_administrators_read_and_owners_change(
    admin: User, browser_of: BrowserOf, endpoint: WebhookEndpoint
) -> None:
    browser, path = browser_of(admin), f"webhooks/{endpoint.pk}"

    assert call(browser, "GET", path).status_code == 200
    for method, place, body in (
        ("POST", "webhooks", CHAT),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/rotate-secret", {}),
    ):
        assert problem(call(browser, method, place, body)) == (403, "forbidden")
    assert WebhookEndpoint.objects.get().name == "Chat"


def test_a_key_needs_the_scope_users(owner: User, endpoint: WebhookEndpoint) -> None:
    short, long = (made(owner, scopes=[scope]).text for scope in ("read", "users"))

    assert problem(call_with(short, "GET", "webhooks")) == (403, "forbidden")
    assert call_with(long, "GET", "webhooks").status_code == 200
