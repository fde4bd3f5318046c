"""Revoked credentials stay invalid and issued ones stay valid if the clocks of nodes differ."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import User
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from magiclinks.services import LinkRefused, find_link, issue_link, redeem_link
from tests.api.keys import call_with, made
from tests.api.tokens import me, refreshed, sign_in

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
HOUR = timedelta(hours=1)
NEW = "eleven purple kettles in a row"


@pytest.mark.parametrize("behind", [timedelta(0), HOUR], ids=["true", "behind"])
def test_a_sign_out_everywhere_ends_tokens_of_a_node_whose_clock_was_ahead(
    editor: User, owner: User, at_time: AtTime, behind: timedelta
) -> None:
    at_time(HOUR)
    tokens = sign_in(editor)
    at_time(-behind)
    end_sessions(actor=owner, user=editor)
    at_time(HOUR + timedelta(seconds=10))

    assert me(tokens["access"]).status_code == 401
    assert refreshed(tokens["refresh"]).status_code == 401


def test_a_new_password_set_by_a_node_whose_clock_is_behind_ends_keys(
    editor: User, owner: User, at_time: AtTime
) -> None:
    key = made(editor).text
    at_time(-HOUR)
    set_password(actor=owner, user=editor, new=NEW)
    at_time(timedelta(0))

    assert call_with(key).status_code == 403


def test_a_second_revocation_by_a_slow_clock_revives_nothing(
    editor: User, owner: User, at_time: AtTime
) -> None:
    tokens = sign_in(editor)
    end_sessions(actor=owner, user=editor)
    at_time(-HOUR)
    end_sessions(actor=owner, user=editor)
    at_time(timedelta(0))

    assert me(tokens["access"]).status_code == 401


def test_a_link_of_a_fast_clock_ends_with_a_sign_out_everywhere(
    editor: User, owner: User, at_time: AtTime
) -> None:
    at_time(timedelta(minutes=5))
    issued = issue_link(editor, actor=owner, lifetime=HOUR, source="panel")
    at_time(timedelta(0))
    end_sessions(actor=owner, user=editor)
    at_time(timedelta(minutes=6))

    with pytest.raises(LinkRefused):
        redeem_link(find_link(issued.url.rpartition("/")[2]))


def test_after_a_revocation_by_a_fast_clock_users_sign_in_at_once(
    editor: User, owner: User, at_time: AtTime
) -> None:
    at_time(HOUR)
    set_password(actor=owner, user=editor, new=NEW)
    at_time(timedelta(0))
    editor.refresh_from_db()

    tokens = sign_in(editor, NEW)
    key = made(editor).text

    assert me(tokens["access"]).status_code == 200
    assert refreshed(tokens["refresh"]).status_code == 200
    assert call_with(key).status_code == 200
