"""Deliveries at a real receiver: what arrives, what is tried again, and when it ends."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import create_user
from audit.models import AuditEvent
from core.errors import RecordInvalid
from core.metrics import COUNTERS
from core.queue import claim_next
from tests.webhooks.conftest import MakeEndpoint, delivery
from tests.webhooks.receiver import (
    Receiver,
    Reply,
    answer,
    drip,
    drip_body,
    flood,
    hang,
    hang_up,
)
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import sending
from webhooks.services.endpoints import edit_endpoint, rotate_secret
from webhooks.signing import sign

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]


def test_an_event_arrives_signed(
    owner: User, receiver: Receiver, make_endpoint: MakeEndpoint, viewer: User
) -> None:
    issued = make_endpoint()
    created = create_user(actor=owner, email="new@example.com", role="editor", name="Nina")

    assert sending.deliver_due() == 1

    (request,) = receiver.requests
    assert request.line == "POST /hook?token=in-the-path HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    row = AuditEvent.objects.get(action="account:user:create", target_id=created.pk)
    event = request.event
    assert request.headers["webhook-id"] == event["id"] == f"evt_{row.hash[:32]}"
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"])).astimezone()
    assert request.headers["webhook-signature"] == sign(
        issued.secret, webhook_id=event["id"], at=at, body=request.body
    )
    assert event["type"] == "user.created"
    assert event["timestamp"] == row.at.isoformat().replace("+00:00", "Z")
    assert event["data"] | {"user": None} == {
        "seq": row.seq,
        "user_id": str(created.pk),
        "user": None,
        "actor_id": str(owner.pk),
        "channel": row.channel,
        "ip": row.ip,
        "request_id": row.request_id,
        "role": "editor",
        "source": row.detail["source"],
    }
    assert event["data"]["user"]["email"] == "new@example.com"
    assert event["data"]["user"]["created_at"].endswith("Z")
    found = delivery()
    assert (found.status, found.attempts, found.response_status) == ("done", 1, 200)
    assert (found.response, found.last_error) == ("thanks", "")
    assert sending.deliver_due() == 0
    assert len(receiver.requests) == 1


def test_only_chosen_types_are_sent(
    receiver: Receiver, make_endpoint: MakeEndpoint, viewer: User
) -> None:
    make_endpoint(event_types=["user.deleted", "ban.created"])
    create_user(actor=SYSTEM, email="new@example.com")

    assert sending.deliver_due() == 0
    assert (receiver.requests, WebhookDelivery.objects.count()) == ([], 0)


def test_nothing_from_before_the_endpoint_is_sent(
    receiver: Receiver, make_endpoint: MakeEndpoint
) -> None:
    create_user(actor=SYSTEM, email="new@example.com")
    make_endpoint()

    assert sending.deliver_due() == 0


def test_every_endpoint_gets_the_same_event_once(
    receiver: Receiver, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    make_endpoint(name="Second")
    create_user(actor=SYSTEM, email="new@example.com")

    assert sending.deliver_due() == 2
    assert sending.deliver_due() == 0
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_an_action_that_is_undone_is_not_sent(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    with pytest.raises(RecordInvalid):
        create_user(actor=SYSTEM, email="not an address")

    assert sending.deliver_due() == 0


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 404, 500, 503])
def test_another_answer_is_tried_again(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime, status: int
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    elsewhere = f"http://127.0.0.1:{receiver.port}/elsewhere"
    receiver.replies = [answer(status, "no", location=elsewhere)]
    if status == 100:  # no final answer follows
        receiver.replies = [lambda connection: connection.send("HTTP/1.1 100 Continue\r\n\r\n")]

    assert sending.deliver_due() == 0

    found = delivery()
    assert (found.status, found.attempts) == ("queued", 1)
    assert found.response_status == (None if status == 100 else status)
    wait = (found.next_attempt_at - found.created_at).total_seconds()
    assert 30 <= wait <= 40
    assert sending.deliver_due() == 0
    assert len(receiver.requests) == 1  # no redirect was followed, and it is not due
    at_time(timedelta(minutes=2))
    assert sending.deliver_due() == 1
    assert [request.headers["webhook-id"] for request in receiver.requests] == [found.event_id] * 2
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("600", 600), ("999999999999", 6 * 3600), ("-5", 30), ("soon", 30), ("0", 30)],
)
def test_retry_after_is_honoured_within_bounds(
    receiver: Receiver, endpoint: WebhookEndpoint, header: str, seconds: int
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    receiver.replies = [answer(429, retry_after=header)]

    sending.deliver_due()

    found = delivery()
    wait = (found.next_attempt_at - found.created_at).total_seconds()
    assert seconds <= wait <= seconds + 10


def test_a_delivery_is_given_up_after_about_a_day(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    receiver.default = answer(500)

    for _attempt in range(sending.MAX_ATTEMPTS):
        assert delivery().status == "queued"
        at_time(delivery().next_attempt_at - delivery().created_at + timedelta(minutes=2))
        sending.deliver_due()

    found = delivery()
    assert (found.status, found.attempts) == ("failed", sending.MAX_ATTEMPTS)
    age = found.next_attempt_at - found.created_at
    assert timedelta(hours=14) < age < timedelta(hours=30)
    endpoint.refresh_from_db()
    assert endpoint.is_enabled


def test_each_attempt_is_counted_by_its_result(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    def counted() -> dict[str, int]:
        counts = COUNTERS.counts()
        return {result: counts["webhooks", result] for result in ("delivered", "retried", "failed")}

    before = counted()
    receiver.replies = [answer(500), answer(200), answer(410)]

    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    sending.deliver_due()
    at_time(timedelta(minutes=2))
    sending.deliver_due()
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    sending.deliver_due()

    after = counted()
    assert {result: after[result] - before[result] for result in after} == {
        "delivered": 1,
        "retried": 1,
        "failed": 1,
    }


def test_gone_disables_the_endpoint(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    create_user(actor=SYSTEM, email="one@example.com")
    create_user(actor=SYSTEM, email="two@example.com")
    receiver.default = answer(410)

    assert sending.deliver_due() == 0

    assert len(receiver.requests) == 1
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "gone")
    assert {row.status for row in WebhookDelivery.objects.all()} == {"failed"}
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.target_id) == ("webhook:endpoint:disable", endpoint.pk)
    assert event.detail == {
        "name": "Chat",
        "host": f"127.0.0.1:{receiver.port}",
        "reason": "webhook_gone",
    }


def test_five_days_of_failure_disable_the_endpoint(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    receiver.default = answer(500)
    create_user(actor=SYSTEM, email="one@example.com")
    sending.deliver_due()
    at_time(timedelta(days=4, hours=23))
    sending.deliver_due()
    endpoint.refresh_from_db()
    assert endpoint.is_enabled

    at_time(timedelta(days=5, hours=1))
    sending.deliver_due()
    at_time(timedelta(days=5, hours=12))
    sending.deliver_due()

    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "failing")
    assert AuditEvent.objects.latest("seq").detail["reason"] == "webhook_failing"


def test_an_endpoint_that_is_enabled_again_starts_anew(
    owner: User, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    receiver.replies = [answer(410)]
    create_user(actor=SYSTEM, email="one@example.com")
    sending.deliver_due()
    create_user(actor=SYSTEM, email="two@example.com")

    edit_endpoint(actor=owner, endpoint=endpoint, changes={"is_enabled": True})
    create_user(actor=SYSTEM, email="three@example.com")

    assert sending.deliver_due() == 1
    assert receiver.requests[-1].event["data"]["user"]["email"] == "three@example.com"
    endpoint.refresh_from_db()
    assert (endpoint.disabled_reason, endpoint.failing_since) == ("", None)


@pytest.mark.parametrize(
    ("reply", "error"),
    [(hang, "No answer within 0 seconds."), (drip, "No answer within 0 seconds."), (hang_up, "")],
)
def test_a_receiver_that_does_not_answer_is_left_alone_for_a_minute(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
    error: str,
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.3)
    receiver.default = reply
    create_user(actor=SYSTEM, email="one@example.com")
    create_user(actor=SYSTEM, email="two@example.com")

    assert sending.deliver_due() == 0

    assert len(receiver.requests) == 1
    found = WebhookDelivery.objects.get(attempts=1)
    assert found.last_error.startswith(error)
    assert (found.status, found.response_status) == ("queued", None)
    assert "in-the-path" not in found.last_error


@pytest.mark.parametrize("reply", [drip_body, flood])
def test_an_endless_body_is_cut_off(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    receiver.default = reply
    sending.send_test(actor=SYSTEM, endpoint=endpoint)

    assert sending.deliver_due() == 1

    assert 1 <= len(delivery().response) <= 2000
    assert set(delivery().response) in ({"x"}, {"A"})


def test_secrets_that_a_receiver_repeats_are_not_kept(
    receiver: Receiver, make_endpoint: MakeEndpoint
) -> None:
    issued = make_endpoint()
    bare = issued.secret.removeprefix("whsec_")

    def repeat(connection: Any) -> None:
        signature = receiver.requests[-1].headers["webhook-signature"]
        answer(200, f"{issued.secret} {bare}\n{signature}\0")(connection)

    receiver.default = repeat
    sending.send_test(actor=SYSTEM, endpoint=issued.endpoint)
    sending.deliver_due()

    assert delivery().response == "••• •••\n•••"


def test_both_secrets_sign_until_the_end_of_the_overlap(
    owner: User, receiver: Receiver, make_endpoint: MakeEndpoint, at_time: AtTime
) -> None:
    old = make_endpoint()
    new = rotate_secret(actor=owner, endpoint=old.endpoint)
    sending.send_test(actor=owner, endpoint=old.endpoint)
    sending.deliver_due()
    at_time(timedelta(hours=24, minutes=1))
    sending.send_test(actor=owner, endpoint=old.endpoint)
    sending.deliver_due()

    def signatures(number: int, *secrets: str) -> str:
        request = receiver.requests[number]
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"])).astimezone()
        webhook_id = request.headers["webhook-id"]
        return " ".join(
            sign(each, webhook_id=webhook_id, at=at, body=request.body) for each in secrets
        )

    assert receiver.requests[0].headers["webhook-signature"] == signatures(
        0, new.secret, old.secret
    )
    assert receiver.requests[1].headers["webhook-signature"] == signatures(1, new.secret)


def test_a_secret_that_has_leaked_ends_at_once(
    owner: User, receiver: Receiver, make_endpoint: MakeEndpoint
) -> None:
    old = make_endpoint()
    rotate_secret(actor=owner, endpoint=old.endpoint, overlap=timedelta())
    sending.send_test(actor=owner, endpoint=old.endpoint)

    assert sending.deliver_due() == 1
    assert " " not in receiver.requests[0].headers["webhook-signature"]


def test_another_encryption_key_is_told(
    endpoint: WebhookEndpoint, receiver: Receiver, settings: Any
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    settings.ENCRYPTION_KEY = b"k" * 32

    assert sending.deliver_due() == 0
    assert "ENCRYPTION_KEY has changed" in delivery().last_error
    assert receiver.requests == []


def test_a_process_that_dies_leaves_its_delivery_to_another(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    assert claim_next(sending._sendable(), sending.LEASE) is not None  # and the process ends here

    assert sending.deliver_due() == 0
    at_time(sending.LEASE + timedelta(seconds=1))
    assert sending.deliver_due() == 1
    assert (delivery().status, delivery().attempts) == ("done", 2)


def test_a_delivery_that_ends_its_process_each_time_is_given_up(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    for number in range(sending.MAX_ATTEMPTS):
        at_time(timedelta(minutes=2 * number))
        assert claim_next(sending._sendable(), sending.LEASE) is not None

    at_time(timedelta(minutes=2 * sending.MAX_ATTEMPTS))
    assert sending.deliver_due() == 0
    assert (delivery().status, receiver.requests) == ("failed", [])


def test_a_slow_sender_does_not_overwrite_the_result_of_another(
    receiver: Receiver, endpoint: WebhookEndpoint, at_time: AtTime
) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)
    slow = claim_next(sending._sendable(), sending.LEASE)
    assert slow is not None
    at_time(sending.LEASE + timedelta(seconds=1))
    assert sending.deliver_due() == 1

    sending._note_failure(endpoint, slow, sending.Outcome(error="too late"))

    assert (delivery().status, delivery().last_error) == ("done", "")
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_endpoint_that_is_disabled_meanwhile_gets_nothing(
    owner: User, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    create_user(actor=SYSTEM, email="one@example.com")
    sending.derive_deliveries()
    edit_endpoint(actor=owner, endpoint=endpoint, changes={"is_enabled": False})

    assert sending.deliver_due() == 0
    assert (delivery().status, delivery().last_error) == ("failed", "The webhook was disabled.")
    assert receiver.requests == []


def test_a_claimed_delivery_is_claimed_by_no_one_else(endpoint: WebhookEndpoint) -> None:
    sending.send_test(actor=SYSTEM, endpoint=endpoint)

    assert claim_next(sending._sendable(), sending.LEASE) is not None
    assert claim_next(sending._sendable(), sending.LEASE) is None
