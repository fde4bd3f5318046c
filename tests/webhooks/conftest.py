"""Fixtures of webhooks: a receiver on this machine, and an endpoint that leads there."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from accounts.models import User
from tests.webhooks.receiver import Receiver
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services.endpoints import IssuedEndpoint, create_endpoint

LOOPBACK = (ip_network("127.0.0.0/8"),)
MakeEndpoint = Callable[..., IssuedEndpoint]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver: .url, .requests, .replies."""
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def make_endpoint(owner: User, receiver: Receiver, settings: Any) -> MakeEndpoint:
    """make_endpoint(event_types=[…], url=…) -> an endpoint, by default at the receiver."""
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK

    def make(**values: Any) -> IssuedEndpoint:
        return create_endpoint(actor=owner, values={"name": "Chat", "url": receiver.url} | values)

    return make


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint) -> WebhookEndpoint:
    return make_endpoint().endpoint


def delivery() -> WebhookDelivery:
    """The only delivery."""
    return WebhookDelivery.objects.get()
