"""Bans at the doors of programs: tokens, refreshes and API keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import User
from moderation.models import Ban
from moderation.services.violations import record_violation
from tests.api.keys import call_with, made, refusal
from tests.api.tokens import me, post, refreshed, sign_in
from tests.conftest import PASSWORD
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = pytest.mark.django_db
MakeBan = Callable[..., Ban]


def test_the_banned_get_no_token_and_are_told_until_when(editor: User, make_ban: MakeBan) -> None:
    ban = make_ban(user=editor)
    assert ban.until is not None

    answer = post("auth/token", {"email": editor.email, "password": PASSWORD})

    assert refusal(answer) == (403, "banned")
    assert answer.json()["until"] == ban.until.isoformat()
    assert answer.json()["detail"] == "This account is banned. Too loud."


def test_a_wrong_password_learns_nothing_of_the_ban(editor: User, make_ban: MakeBan) -> None:
    make_ban(user=editor)

    answer = post("auth/token", {"email": editor.email, "password": "wrong"})

    assert refusal(answer) == (401, "bad_credentials")


def test_a_ban_ends_live_tokens_and_their_refreshes(editor: User) -> None:
    tokens = sign_in(editor)
    assert me(tokens["access"]).status_code == 200

    record_violation(type="message", user=editor, score=20)

    assert refusal(me(tokens["access"])) == (401, "token_invalid")
    assert refusal(refreshed(tokens["refresh"])) == (401, "token_invalid")


def test_an_api_key_rests_during_the_ban_and_works_again_afterwards(
    editor: User, at_time: Callable[[timedelta], object]
) -> None:
    key = made(editor).text
    assert call_with(key).status_code == 200

    record_violation(type="message", user=editor, network=AWAY, score=20)

    assert refusal(call_with(key)) == (403, "banned")
    at_time(timedelta(hours=2, seconds=1))
    assert call_with(key).status_code == 200


def test_a_key_of_somebody_else_works_from_a_banned_network(
    editor: User, make_ban: MakeBan
) -> None:
    make_ban(network=AWAY)

    assert call_with(made(editor).text, ip=AWAY).status_code == 200


@pytest.mark.parametrize(("ip", "status"), [(AWAY, 403), (ELSEWHERE, 200)])
def test_nobody_gets_a_token_from_a_banned_network(
    editor: User, from_network: Callable[..., object], make_ban: MakeBan, ip: str, status: int
) -> None:
    make_ban(network=AWAY)

    answer = post(
        "auth/token",
        {"email": editor.email, "password": PASSWORD},
        client=from_network(ip),  # type: ignore[arg-type]
    )

    assert answer.status_code == status
