"""Commands with `--json` and the API call one thing by one name."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from moderation.services.bans import ban
from tests.api.calls import call
from tests.api.keys import made

pytestmark = pytest.mark.django_db
# What a command adds: it has no other row to look the user up in.
WHOSE = {"user_id", "email"}


def told(*command: str) -> dict[str, Any]:
    """The only row of a command."""
    out = StringIO()
    call_command(*command, "--json", stdout=out)
    (line,) = out.getvalue().splitlines()
    row: dict[str, Any] = json.loads(line)
    return row


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Compare the rows; times may be written in two ways."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        other = second[name]
        if name.endswith("_at") and value and other:
            value, other = value.replace("Z", "+00:00"), other.replace("Z", "+00:00")
        assert value == other, name


def test_users(owner: User, browser_of: Any) -> None:
    browser = browser_of(owner)

    same(told("listusers"), call(browser, "GET", f"users/{owner.pk}").json())


def test_bans(owner: User, viewer: User, browser_of: Any) -> None:
    row = ban(actor=owner, user=viewer, duration=timedelta(hours=1), reason="spam")

    found = told("listbans")
    assert found.pop("email") == viewer.email
    same(found, call(browser_of(owner), "GET", f"moderation/bans/{row.pk}").json())


def test_api_keys(owner: User, browser_of: Any) -> None:
    key = made(owner).key

    found = told("apikey", "list")
    assert {name: found.pop(name) for name in WHOSE} == {
        "user_id": str(owner.pk),
        "email": owner.email,
    }
    same(found, call(browser_of(owner), "GET", f"api-keys/{key.pk}").json())


def test_every_end_is_called_expires_at() -> None:
    schemas = Client().get("/api/v1/schema").json()["components"]["schemas"]
    fields = {name for schema in schemas.values() for name in schema.get("properties", {})}

    assert fields & {"until", "ends", "end", "slot_until"} == {"until"}
    assert "until" in schemas["Problem"]["properties"]
