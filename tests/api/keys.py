"""API keys for tests: made by the service, used by a client without cookies."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts.models import User
from api.apikeys.services import IssuedKey, KeyRequest, create_key

HERE = "127.0.0.1"


def made(user: User, name: str = "script", **fields: Any) -> IssuedKey:
    """A new key of `user`."""
    return create_key(actor=user, user=user, key_request=KeyRequest(name=name, **fields))


def call_with(
    key: str,
    method: str = "GET",
    path: str = "me",
    body: Any = None,
    ip: str = HERE,
    **options: Any,
) -> Any:
    """The answer to a program that holds `key`."""
    return Client(headers={"x-api-key": key}).generic(
        method,
        f"/api/v1/{path}",
        b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
        REMOTE_ADDR=ip,
        **options,
    )


def in_days(days: float) -> datetime:
    """So many days from now."""
    return timezone.now() + timedelta(days=days)


def problem(answer: Any) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    return answer.status_code, answer.json()["code"]
