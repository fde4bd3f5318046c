"""`manage.py rotatekeys`: effect, output and exit code."""

import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from api.models import SigningKey
from api.tokens import signing_keys
from audit.models import AuditEvent
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from tests.api.tokens import me, outcome, sign_in


def rotate(*options: str) -> list[str]:
    """The lines that the command printed."""
    out = StringIO()
    call_command("rotatekeys", *options, stdout=out)
    return out.getvalue().splitlines()


def _kid(line: str) -> str:
    return line.partition(" ")[0]


@pytest.mark.django_db
class TestHere:
    def test_it_publishes_a_key_that_signs_tomorrow(self, viewer: User) -> None:
        access = sign_in(viewer)["access"]
        old = SigningKey.objects.get()

        signs, replaced = rotate()

        new = SigningKey.objects.exclude(pk=old.pk).get()
        assert re.fullmatch(rf"{new.kid} signs from \S+\.", signs)
        assert replaced == f"{old.kid} is valid until its last token has expired."
        ahead = new.active_from - timezone.now()
        assert timedelta(hours=23, minutes=59) < ahead <= timedelta(hours=24)
        assert me(access).status_code == 200

    def test_a_second_rotation_does_nothing_and_says_so(self) -> None:
        signing_keys.AccessKeys().signer()
        rotate()

        with pytest.raises(CommandError, match="Nothing was done"):
            rotate()
        assert SigningKey.objects.count() == 2

    def test_now_signs_with_the_new_key_and_trusts_the_old_one(self, viewer: User) -> None:
        access = sign_in(viewer)["access"]
        signs, _replaced = rotate("--now")

        assert signing_keys.AccessKeys().signer().kid == _kid(signs)
        assert me(access).status_code == 200

    def test_an_emergency_invalidates_all_issued_tokens(self, viewer: User) -> None:
        body = sign_in(viewer)
        old = SigningKey.objects.get().kid

        signs, replaced = rotate("--emergency", "--yes")

        assert replaced == f"{old} is invalid now."
        assert outcome(me(body["access"])) == (401, "token_invalid")
        assert [key["kid"] for key in signing_keys.published_keys()] == [_kid(signs)]
        (event,) = AuditEvent.objects.filter(action="api:signing-key:replace-all")
        assert (event.channel, event.actor_id) == ("command", None)

    def test_an_emergency_asks_first(self) -> None:
        old = signing_keys.AccessKeys().signer().kid
        with pytest.raises(CommandError, match="Add --yes"):
            rotate("--emergency")
        assert [key["kid"] for key in signing_keys.published_keys()] == [old]

    def test_now_and_emergency_exclude_each_other(self) -> None:
        with pytest.raises(CommandError, match="not allowed with"):
            rotate("--now", "--emergency")

    def test_with_a_shared_secret_there_is_nothing_to_rotate(self, settings: Any) -> None:
        settings.JWT_SECRET = "a-secret-for-tests-of-hs256-only-0123456789"
        with pytest.raises(CommandError, match="JWT_SECRET signs the tokens"):
            rotate("--now")
        assert SigningKey.objects.count() == 0


SIGN_IN = """
from django.utils import timezone
from accounts.models import User
from api.tokens.refresh_tokens import start_by_password
user = User.objects.create(email="person@example.com")
result = start_by_password(user, timezone.now()).access
"""


def test_an_emergency_reaches_every_running_server(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    gatehouse = gatehouse_server(sqlite_data, processes=2)
    access = sqlite_data.shell(SIGN_IN, PUBLIC_URL=gatehouse.url)
    clients = [gatehouse.client(number) for number in range(2)]

    def statuses() -> list[int]:
        headers = {"Authorization": f"Bearer {access}"}
        return [client.get("/api/v1/me", headers).status for client in clients]

    assert statuses() == [200, 200]
    done = sqlite_data.manage("rotatekeys", "--emergency", "--yes")
    assert done.returncode == 0, done.stderr
    assert wait_for(lambda: statuses() == [401, 401])
    assert signing_keys.MAX_AGE_SECONDS <= 1

    again = sqlite_data.manage("rotatekeys")
    assert again.returncode == 0
    assert sqlite_data.manage("rotatekeys").returncode == 1
