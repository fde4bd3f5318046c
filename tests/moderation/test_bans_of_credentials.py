"""Bans and credentials of programs: tokens, refreshes and API keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import User
from moderation.models import Ban
from moderation.services.violations import record_violation
from tests.api.keys import call_with, made, problem
from tests.api.tokens import me, post, refreshed, sign_in
from tests.conftest import PASSWORD
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = pytest.mark.django_db
MakeBan = Callable[..., Ban]


def test_a_banned_user_gets_no_token_but_the_end_of_the_ban(
    editor: User, make_ban: MakeBan
) -> None:
    ban = make_ban(user=editor)
    assert ban.until is not None

    answer = post("auth/token", {"email": editor.email, "password": PASSWORD})

    assert problem(answer) == (403, "banned")
    assert answer.json()["until"] == ban.until.isoformat()
    assert answer.json()["detail"] == "This account is banned. Too loud."


def test_a_wrong_password_does_not_reveal_the_ban(editor: User, make_ban: MakeBan) -> None:
    make_ban(user=editor)

    answer = post("auth/token", {"email": editor.email, "password": "wrong"})

    assert problem(answer) == (401, "bad_credentials")


def test_a_ban_ends_live_tokens_and_their_refreshes(editor: User) -> None:
    tokens = sign_in(editor)
    assert me(tokens["access"]).status_code == 200

    record_violation(type="message", user=editor, score=20)

    assert problem(me(tokens["access"])) == (401, "token_invalid")
    assert problem(refreshed(tokens["refresh"])) == (401, "token_invalid")


def test_an_api_key_is_suspended_during_a_ban(
    editor: User, at_time: Callable[[timedelta], object]
) -> None:
    key = made(editor).text
    assert call_with(key).status_code == 200

    record_violation(type="message", user=editor, network=AWAY, score=20)

    assert problem(call_with(key)) == (403, "banned")
    at_time(timedelta(hours=2, seconds=1))
    assert call_with(key).status_code == 200


def test_the_key_of_another_user_works_from_a_banned_network(
    editor: User, make_ban: MakeBan
) -> None:
    make_ban(network=AWAY)

    assert call_with(made(editor).text, ip=AWAY).status_code == 200


@pytest.mark.parametrize(("ip", "status"), [(AWAY, 403), (ELSEWHERE, 200)])
def test_a_banned_network_gets_no_token(
    editor: User, from_network: Callable[..., object], make_ban: MakeBan, ip: str, status: int
) -> None:
    make_ban(network=AWAY)

    answer = post(
        "auth/token",
        {"email": editor.email, "password": PASSWORD},
        client=from_network(ip),  # type: ignore[arg-type]
    )

    assert answer.status_code == status
