"""Bans at every sign-in method: A047, A049, and what banned users see."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts import access_policy
from accounts.models import User
from audit.models import AuditEvent
from magiclinks.models import LoginLink
from moderation.models import Ban
from tests.accounts.test_access_policy import SIGN_IN_METHODS, by_magic_link, is_in
from tests.conftest import PASSWORD
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = pytest.mark.django_db
MakeBan = Callable[..., Ban]
FromNetwork = Callable[[str], Client]


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
@pytest.mark.parametrize("hours", [2, None])
def test_a_banned_user_cannot_sign_in_by_any_method(
    editor: User, stranger: Client, make_ban: MakeBan, method: str, hours: int | None
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    make_ban(user=editor, hours=hours)

    enter(stranger)

    assert not is_in(stranger)
    assert not AuditEvent.objects.filter(action="account:session:start", result="success").exists()


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_no_sign_in_method_works_from_a_banned_network(
    editor: User, from_network: FromNetwork, make_ban: MakeBan, method: str
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    make_ban(network=AWAY)
    client = from_network(AWAY)

    enter(client)

    assert not is_in(client)


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_every_sign_in_method_works_from_another_network(
    editor: User, from_network: FromNetwork, make_ban: MakeBan, method: str
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    make_ban(network=AWAY)
    client = from_network(ELSEWHERE)

    enter(client)

    assert is_in(client)


@pytest.mark.parametrize("path", ["/sign-up", "/magic-link", "/password/forgot", "/sign-in"])
def test_a_banned_network_cannot_request_mails(
    owner: User, from_network: FromNetwork, make_ban: MakeBan, path: str
) -> None:
    make_ban(network=AWAY)
    fields = {
        "email": "new@example.com",
        "login": "new@example.com",
        "name": "New",
        "password": "seven quiet rivers under glass",
    }

    assert from_network(AWAY).post(path, fields).status_code == 403
    assert from_network(ELSEWHERE).post(path, fields).status_code != 403


def test_a047_sessions_of_others_in_a_banned_network_continue(
    viewer: User, editor: User, from_network: FromNetwork, make_ban: MakeBan
) -> None:
    office = {user.pk: from_network(AWAY) for user in (viewer, editor)}
    for user in (viewer, editor):
        office[user.pk].post("/sign-in", {"login": user.email, "password": PASSWORD})

    make_ban(user=editor, network=AWAY)

    assert is_in(office[viewer.pk])
    assert not is_in(office[editor.pk])


def test_a_session_in_a_banned_network_can_change_its_password(
    viewer: User, from_network: FromNetwork, make_ban: MakeBan
) -> None:
    client = from_network(AWAY)
    client.post("/sign-in", {"login": viewer.email, "password": PASSWORD})
    make_ban(network=AWAY)

    new = "seven quiet rivers under glass"
    answer = client.post("/account/password", {"current_password": PASSWORD, "password": new})

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=password-changed")
    assert is_in(client)


def test_a049_sign_in_works_when_the_ban_ends(
    editor: User, make_ban: MakeBan, at_time: Callable[[timedelta], object]
) -> None:
    make_ban(user=editor, hours=2)

    at_time(timedelta(hours=2, seconds=-1))
    assert access_policy.may_act(editor) is False

    at_time(timedelta(hours=2, seconds=1))
    assert access_policy.may_act(editor) is True


def test_a_link_opened_in_a_banned_network_is_not_consumed(
    editor: User, from_network: FromNetwork, make_ban: MakeBan
) -> None:
    enter = by_magic_link(editor)
    make_ban(network=AWAY)

    enter(from_network(AWAY))
    assert LoginLink.objects.get().used_at is None

    client = from_network(ELSEWHERE)
    enter(client)
    assert is_in(client)


@pytest.mark.parametrize("method", ["password", "magic link"])
def test_a_banned_user_sees_reason_and_end(
    editor: User, stranger: Client, make_ban: MakeBan, method: str
) -> None:
    ban = make_ban(user=editor)
    paths: list[tuple[str, dict[str, str]]] = []
    if method == "password":
        paths.append(("/sign-in", {"login": editor.email, "password": PASSWORD}))
    else:
        Ban.objects.update(lifted_at=ban.created_at)
        by_magic_link(editor)(_Recorder(paths))  # type: ignore[arg-type]
        Ban.objects.update(lifted_at=None)
    path, fields = paths[0]

    answer = stranger.post(path, fields)

    assert answer.status_code == 403
    text = answer.content.decode()
    assert "This account is banned. Too loud." in text
    assert ban.until is not None
    assert f'datetime="{ban.until.isoformat(timespec="seconds")[:16]}' in text
    assert f'datetime="{ban.created_at.isoformat(timespec="seconds")[:16]}' in text


class _Recorder:
    """A client that only notes what it should have sent."""

    def __init__(self, paths: list[tuple[str, dict[str, str]]]) -> None:
        self.paths = paths

    def post(self, path: str, fields: dict[str, str] | None = None) -> None:
        self.paths.append((path, fields or {}))


def test_a_wrong_password_does_not_reveal_a_ban(
    editor: User, stranger: Client, make_ban: MakeBan
) -> None:
    make_ban(user=editor)

    answer = stranger.post("/sign-in", {"login": editor.email, "password": "wrong"})

    assert answer.status_code == 401
    assert "anned" not in answer.content.decode()


def test_a_user_whose_session_ended_by_a_ban_sees_why(
    editor: User, stranger: Client, make_ban: MakeBan
) -> None:
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})
    make_ban(user=editor)

    turned_away = stranger.get("/account/", follow=True).content.decode()
    page = stranger.get("/banned").content.decode()
    elsewhere = [Client().get(path).content.decode() for path in ("/sign-in", "/banned")]

    assert not is_in(stranger)
    assert "This account is banned. Too loud. This ends in " in turned_away
    assert "This account is banned. Too loud." in page
    assert not any("Too loud" in page for page in elsewhere)


def test_the_page_shows_only_the_ban_of_the_own_network(
    from_network: FromNetwork, make_ban: MakeBan
) -> None:
    make_ban(network=AWAY)

    there, here = (from_network(ip).get("/banned") for ip in (AWAY, ELSEWHERE))

    assert (there.status_code, here.status_code) == (200, 200)
    assert "Sign-in from your network is closed. Too loud." in there.content.decode()
    assert "Your network is not banned" in here.content.decode()
    assert "Too loud" not in here.content.decode()


def test_the_reason_of_a_users_ban_is_not_shown_to_their_network(
    editor: User, from_network: FromNetwork, make_ban: MakeBan
) -> None:
    make_ban(user=editor, network=AWAY)

    text = from_network(AWAY).get("/banned").content.decode()

    assert "An administrator decided so." in text
    assert "Too loud" not in text


def test_programs_get_error_code_and_end(
    editor: User, from_network: FromNetwork, make_ban: MakeBan
) -> None:
    ban = make_ban(network=AWAY)
    assert ban.until is not None

    answer = from_network(AWAY).post(
        "/sign-in", {"login": "a@b.de", "password": "x"}, headers={"accept": "application/json"}
    )

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "banned"
    assert answer.json()["until"] == ban.until.isoformat()


def test_each_access_check_costs_one_query(
    editor: User, django_assert_num_queries: Callable[[int], object]
) -> None:
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        assert access_policy.get_denial(editor) is None
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        assert access_policy.client_denial(AWAY) is None
