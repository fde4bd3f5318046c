"""What a restore revokes, despite clock skew."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import User
from mfa.models import TrustedBrowser
from oidc_provider.services.registration import create_token, is_open
from operations.backup.post_restore import finish_restore, marker_statements
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]


def _restore(*, keep_keys: bool) -> None:
    with connection.cursor() as cursor:
        for statement in marker_statements(1, keep_keys=keep_keys, key=settings.ENCRYPTION_KEY):
            cursor.execute(statement)
    assert finish_restore() is not None


@pytest.mark.parametrize(("keep_keys", "status"), [(False, 403), (True, 200)])
def test_a_key_of_a_clock_ahead_is_revoked_unless_keys_are_kept(
    editor: User, at_time: AtTime, keep_keys: bool, status: int
) -> None:
    at_time(timedelta(hours=1))
    key = made(editor).text
    at_time(timedelta(0))
    _restore(keep_keys=keep_keys)
    at_time(timedelta(hours=2))

    assert call_with(key).status_code == status


def test_no_browser_is_trusted_after_a_restore(editor: User) -> None:
    now = timezone.now()
    TrustedBrowser.objects.create(
        user=editor, digest="d" * 64, created_at=now, expires_at=now + timedelta(days=1)
    )
    _restore(keep_keys=True)

    assert not TrustedBrowser.objects.exists()


def test_no_app_can_be_registered_after_a_restore(owner: User) -> None:
    """With a token that was used up or deleted since the backup."""
    values = {"name": "CI", "openid_role": "viewer", "max_uses": 1}
    create_token(actor=owner, values=values, lifetime=timedelta(days=1))
    assert is_open()

    _restore(keep_keys=True)

    assert not is_open()
