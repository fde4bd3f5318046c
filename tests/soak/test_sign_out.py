"""A sign-out is atomic: it ends the session and writes its audit row, or neither."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.sessions.store import SessionStore
from audit.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_an_interrupted_sign_out_is_not_audited(
    viewer: User, browser_of: Callable[[User], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browser_of(viewer)
    browser.raise_request_exception = False

    def cut_off(_store: SessionStore) -> None:
        raise ConnectionError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "flush", cut_off)
        assert browser.post("/sign-out").status_code == 500

    assert not AuditEvent.objects.filter(action="account:session:end").exists()
    assert browser.get("/account/").status_code == 200
