"""docs/webhooks.md: its program verifies real signatures, and its table names every type."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from tests.architecture.sources import ROOT
from tests.webhooks.conftest import MakeEndpoint
from tests.webhooks.receiver import Receiver
from webhooks.events import TYPES
from webhooks.services import sending
from webhooks.services.endpoints import rotate_secret

TEXT = (ROOT / "docs" / "webhooks.md").read_text()


@pytest.fixture
def is_genuine() -> Any:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    return names["is_genuine"]


@pytest.mark.django_db
def test_the_documented_program_accepts_what_is_sent(
    owner: User, receiver: Receiver, make_endpoint: MakeEndpoint, is_genuine: Any
) -> None:
    old = make_endpoint()
    new = rotate_secret(actor=owner, endpoint=old.endpoint)
    sending.send_test(actor=owner, endpoint=old.endpoint)
    sending.deliver_due()

    (request,) = receiver.requests
    body = request.body.encode()
    assert is_genuine(old.secret, request.headers, body)
    assert is_genuine(new.secret, request.headers, body)
    assert not is_genuine(new.secret, request.headers, body + b" ")
    assert not is_genuine(new.secret, request.headers | {"webhook-id": "evt_x"}, body)
    assert not is_genuine(make_endpoint(name="Other").secret, request.headers, body)


@pytest.mark.django_db
def test_the_documented_program_refuses_what_is_old(
    owner: User,
    receiver: Receiver,
    make_endpoint: MakeEndpoint,
    is_genuine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = make_endpoint()
    sending.send_test(actor=owner, endpoint=issued.endpoint)
    sending.deliver_due()
    later = timezone.now() + timedelta(minutes=6)
    monkeypatch.setattr(time, "time", later.timestamp)

    (request,) = receiver.requests
    assert not is_genuine(issued.secret, request.headers, request.body.encode())


def test_the_table_names_every_type_with_its_fields() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| .+ \|(.*)\|$", TEXT, re.MULTILINE)

    assert {name: re.findall(r"`(\w+)`", fields) for name, fields in rows} == {
        name: list(kind.details) for name, kind in TYPES.items()
    }
