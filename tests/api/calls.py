"""Calling the API from tests."""

import json
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

API = "/api/v1"


def call(browser: Client, method: str, path: str, body: Any = None) -> Any:
    """Send `body` as JSON with the form token that the API hands to this browser; the answer."""
    token = browser.get(f"{API}/me").headers.get("X-CSRF-Token", "")
    return browser.generic(
        method,
        f"{API}/{path}",
        b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
        headers={"x-csrf-token": token},
    )


def from_now(**span: float) -> str:
    """A time for `expires_at`; span as for timedelta()."""
    return (timezone.now() + timedelta(**span)).isoformat()


def problem(answer: Any) -> tuple[int, str]:
    """Status and code of a refused call, which must be a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    document = answer.json()
    assert document["status"] == answer.status_code
    return answer.status_code, document["code"]
