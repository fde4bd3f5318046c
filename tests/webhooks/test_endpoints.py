"""Who changes endpoints, what is refused, and what the audit log says."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import delete_user, disable_user
from audit.models import AuditEvent
from core.crypto.encryption import DecryptionError
from core.errors import Forbidden, NotFound, RecordInvalid
from tests.conftest import MakeUser
from tests.webhooks.conftest import MakeEndpoint, delivery
from tests.webhooks.receiver import Receiver, answer
from webhooks.endpoint_url import clean_url, host_of
from webhooks.events import TYPES
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import derivation, endpoints, sending

pytestmark = pytest.mark.django_db
TEN = (ip_network("10.0.0.0/8"),)
HTTPS = "Enter a URL that starts with https://."
VALID = "Enter a valid URL, such as https://example.com/hooks."


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/a/b?token=x%20y",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
    ],
)
def test_usable_urls(url: str) -> None:
    assert clean_url(f" {url}\n", ()) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "Enter the URL of the receiver, such as https://example.com/hooks."),
        ("example.com/hooks", HTTPS),
        ("javascript:alert(1)", HTTPS),
        ("file:///etc/passwd", HTTPS),
        ("https://", VALID),
        ("https://:443/", VALID),
        ("https://exa mple.com/", "Enter the URL without spaces"),
        ("https://example.com/\r\nX-Evil: 1", "Enter the URL without spaces"),
        ("https://example.com/\0", "Enter the URL without spaces"),
        ("https://bücher.example/", "Enter the URL without spaces"),
        ("https://user:password@example.com/", "Enter the URL without a user name"),
        ("https://user@example.com/", "Enter the URL without a user name"),
        ("https://@example.com/", "Enter the URL without a user name"),
        ("https://example.com/#x", "Enter the URL without the part from #"),
        ("https://example.com:99999/", VALID),
        ("https://example.com:0/", VALID),
        ("https://[::1/", VALID),
        ("https://-x.example/", VALID),
        ("https://a..b/", VALID),
        (f"https://example.com/{'a' * 500}", "The URL is too long"),
        ("http://example.com/", "Enter a URL that starts with https://. For http"),
        ("https://127.0.0.1/", "127.0.0.1 is not a public address."),
        ("https://2130706433/", "127.0.0.1 is not a public address."),
        ("https://0x7f.1/", "127.0.0.1 is not a public address."),
        ("https://[::ffff:10.0.0.1]/", "::ffff:"),
        ("https://0/", "0.0.0.0 is not a public address."),
        ("https://169.254.169.254/latest", "169.254.169.254 is not a public address."),
    ],
)
def test_unusable_urls(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        clean_url(url, ())

    assert str(raised.value).startswith(message)


def test_http_reaches_named_networks_only() -> None:
    assert clean_url("http://10.0.0.1/", TEN) == "http://10.0.0.1/"
    assert clean_url("http://hooks.internal/", TEN) == "http://hooks.internal/"
    for url in ("http://8.8.8.8/", "http://192.168.0.1/"):
        with pytest.raises(ValueError, match="Use https://"):
            clean_url(url, TEN)


def test_the_host_is_what_is_shown_of_a_url() -> None:
    assert host_of("https://example.com:8443/secret?x=y") == "example.com:8443"
    assert host_of("https://[2606:4700::1111]/x") == "[2606:4700::1111]"


def test_an_endpoint_is_made_and_its_secret_is_nowhere_else(
    owner: User, make_endpoint: MakeEndpoint, receiver: Receiver
) -> None:
    issued = make_endpoint(name="  My \u202e chat ", event_types=["ban.created", "user.created"])

    row = WebhookEndpoint.objects.get()
    assert (row.name, row.event_types) == ("My chat", ["user.created", "ban.created"])
    assert issued.secret not in repr(issued)
    assert issued.secret not in str(vars(row))
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.target_id) == (
        "webhook:endpoint:create", owner.pk, row.pk,
    )  # fmt: skip
    assert event.detail == {
        "name": "My chat",
        "host": f"127.0.0.1:{receiver.port}",
        "events": ["user.created", "ban.created"],
    }
    assert endpoints.secrets_of(row) == [issued.secret]


def test_a_secret_of_another_row_does_not_decrypt(make_endpoint: MakeEndpoint) -> None:
    first, second = make_endpoint().endpoint, make_endpoint(name="Second").endpoint
    first.sealed_secret = second.sealed_secret

    with pytest.raises(DecryptionError):
        endpoints.secrets_of(first)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, ["name", "url"]),
        ({"name": "\u200b", "url": "https://10.0.0.1/"}, ["name", "url"]),
        ({"name": "x" * 81, "url": "https://a.example/"}, ["name"]),
        ({"name": "a", "url": "https://a.example/", "event_types": ["user.born"]}, ["event_types"]),
        ({"name": "a", "url": "https://a.example/", "event_types": ["webhook.test"]},
         ["event_types"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told(owner: User, values: Any, wrong: list[str]) -> None:
    with pytest.raises(RecordInvalid) as raised:
        endpoints.create_endpoint(actor=owner, values=values)

    assert sorted(raised.value.errors) == wrong
    assert not WebhookEndpoint.objects.exists()


def test_all_types_are_stored_as_every_type(make_endpoint: MakeEndpoint) -> None:
    assert make_endpoint(event_types=list(TYPES)).endpoint.event_types == []


@pytest.mark.parametrize("role", ["none", "viewer", "editor", "admin"])
def test_only_owners_change_endpoints(
    make_user: MakeUser, endpoint: WebhookEndpoint, role: str
) -> None:
    actor = make_user(role)
    before = AuditEvent.objects.count()

    for change in (
        lambda: endpoints.create_endpoint(actor=actor, values={"name": "x", "url": "https://a.b"}),
        lambda: endpoints.edit_endpoint(actor=actor, endpoint=endpoint, changes={"name": "x"}),
        lambda: endpoints.rotate_secret(actor=actor, endpoint=endpoint),
        lambda: endpoints.delete_endpoint(actor=actor, endpoint=endpoint),
    ):
        with pytest.raises(Forbidden):
            change()
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("role", ["none", "viewer", "editor"])
def test_only_administrators_test_and_send_again(
    make_user: MakeUser, endpoint: WebhookEndpoint, role: str
) -> None:
    actor, sent = make_user(role), sending.send_test(actor=SYSTEM, endpoint=endpoint)
    WebhookDelivery.objects.update(status="failed")

    with pytest.raises(Forbidden):
        sending.send_test(actor=actor, endpoint=endpoint)
    with pytest.raises(Forbidden):
        sending.resend(actor=actor, delivery=sent)
    assert WebhookDelivery.objects.count() == 1


def test_a_change_is_audited_without_the_url(owner: User, endpoint: WebhookEndpoint) -> None:
    endpoints.edit_endpoint(
        actor=owner, endpoint=endpoint, changes={"url": "https://a.example/secret", "name": "Chat"}
    )

    event = AuditEvent.objects.latest("seq")
    assert event.action == "webhook:endpoint:change"
    assert event.detail == {"name": "Chat", "host": "a.example", "fields": ["url"]}
    count = AuditEvent.objects.count()
    endpoints.edit_endpoint(actor=owner, endpoint=endpoint, changes={"name": "Chat"})
    assert AuditEvent.objects.count() == count


def test_a_deleted_endpoint_takes_its_deliveries_along(
    owner: User, endpoint: WebhookEndpoint
) -> None:
    key = endpoint.pk
    sending.send_test(actor=owner, endpoint=endpoint)

    endpoints.delete_endpoint(actor=owner, endpoint=endpoint)

    assert not WebhookDelivery.objects.exists()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.target_id) == ("webhook:endpoint:delete", key)
    with pytest.raises(NotFound):
        endpoints.rotate_secret(actor=owner, endpoint=WebhookEndpoint(pk=key))


@pytest.mark.parametrize("hours", [-1, 169])
def test_an_overlap_has_bounds(owner: User, endpoint: WebhookEndpoint, hours: int) -> None:
    with pytest.raises(RecordInvalid) as raised:
        endpoints.rotate_secret(actor=owner, endpoint=endpoint, overlap=timedelta(hours=hours))

    assert list(raised.value.errors) == ["overlap_hours"]


def test_there_is_a_limit_of_endpoints(
    make_endpoint: MakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 1)
    make_endpoint()

    with pytest.raises(RecordInvalid):
        make_endpoint(name="Second")


def test_an_event_is_sent_again_with_its_id(
    admin: User, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    first = sending.send_test(actor=admin, endpoint=endpoint)
    receiver.replies = [answer(410)]
    sending.deliver_due()
    WebhookEndpoint.objects.update(is_enabled=True)

    again = sending.resend(actor=admin, delivery=first)
    with pytest.raises(RecordInvalid, match="already waiting"):
        sending.resend(actor=admin, delivery=first)

    assert sending.deliver_due() == 1
    assert [each.body for each in receiver.requests] == [first.payload] * 2
    assert again.pk != first.pk
    event = AuditEvent.objects.filter(action="webhook:delivery:resend").get()
    assert event.detail["event"] == first.event_id


def test_a_second_test_waits_for_the_first(admin: User, endpoint: WebhookEndpoint) -> None:
    sending.send_test(actor=admin, endpoint=endpoint)

    with pytest.raises(RecordInvalid, match="already waiting"):
        sending.send_test(actor=admin, endpoint=endpoint)


def test_a_disabled_endpoint_gets_no_test(owner: User, endpoint: WebhookEndpoint) -> None:
    endpoints.edit_endpoint(actor=owner, endpoint=endpoint, changes={"is_enabled": False})

    with pytest.raises(RecordInvalid, match="Enable the webhook first"):
        sending.send_test(actor=owner, endpoint=endpoint)


def test_what_was_sent_about_a_deleted_account_is_erased(
    owner: User, receiver: Receiver, endpoint: WebhookEndpoint, make_user: MakeUser
) -> None:
    user = make_user("viewer")
    disable_user(actor=owner, user=user)
    sending.deliver_due()
    assert user.email in delivery().payload
    assert derivation.erase_payloads() == 0

    delete_user(actor=owner, user=user)
    sending.deliver_due()

    assert receiver.requests[-1].event["type"] == "user.deleted"
    assert receiver.requests[-1].event["data"]["user"] is None
    assert derivation.erase_payloads() == 1
    erased = WebhookDelivery.objects.get(event_type="user.disabled")
    assert (erased.payload, erased.response) == ("", "")
    with pytest.raises(RecordInvalid, match="erased"):
        sending.resend(actor=owner, delivery=erased)


def test_old_deliveries_are_purged(
    endpoint: WebhookEndpoint, at_time: Callable[[timedelta], Any]
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    sending.deliver_due()

    assert sending.purge_deliveries(delivery().created_at) == 0
    assert sending.purge_deliveries(at_time(timedelta(minutes=1))) == 1


def test_a_restore_sends_nothing_old(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)

    assert endpoints.drop_deliveries() == 1

    assert sending.deliver_due() == 0
    assert (delivery().status, receiver.requests) == ("failed", [])
