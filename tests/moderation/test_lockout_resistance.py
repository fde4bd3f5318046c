"""No client can lock out or ban another user: growing waits, known devices, other methods."""

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as sized
from hypothesis import strategies as some

from accounts.models import User
from accounts.services.sessions import end_sessions
from moderation.models import Ban, Violation
from tests.accounts.test_access_policy import by_magic_link, is_in
from tests.conftest import PASSWORD
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
FromNetwork = Callable[[str], Client]
WINDOW, BOUND, BAN_SECONDS = 300, 3600, 7200


def guess(client: Client, login: str) -> int:
    return client.post("/sign-in", {"login": login, "password": "wrong"}).status_code


def right(client: Client, user: User) -> int:
    return client.post("/sign-in", {"login": user.email, "password": PASSWORD}).status_code


def wait_of(client: Client, login: str) -> int:
    answer = client.post("/sign-in", {"login": login, "password": "wrong"})
    assert answer.status_code == 429
    return int(answer.headers["Retry-After"])


def test_the_wait_doubles_up_to_the_maximum(
    settings, from_network: FromNetwork, clock: Callable[[float], None]
) -> None:
    settings.VIOLATION_SCORES = {"login": 0}
    client = from_network(AWAY)
    waits = []

    for _ in range(8):
        codes = [guess(client, "a@example.com") for _ in range(7)]
        assert codes == [401] * 7
        waits.append(wait_of(client, "a@example.com"))
        clock(waits[-1] + 1)

    assert 0 < waits[0] <= WINDOW
    assert waits[1:] == [2 * WINDOW, 4 * WINDOW, 8 * WINDOW, BOUND, BOUND, BOUND, BOUND]


def test_after_a_long_pause_the_wait_is_short_again(
    settings, from_network: FromNetwork, clock: Callable[[float], None]
) -> None:
    settings.VIOLATION_SCORES = {"login": 0}
    client = from_network(AWAY)
    for _ in range(3):
        for _ in range(7):
            guess(client, "a@example.com")
        clock(wait_of(client, "a@example.com") + 1)

    clock(2 * BOUND + WINDOW + 1)
    for _ in range(7):
        guess(client, "a@example.com")

    assert wait_of(client, "a@example.com") <= WINDOW


def test_a033_the_right_password_during_the_wait_gets_the_same_answer(
    viewer: User, from_network: FromNetwork
) -> None:
    client = from_network(AWAY)
    for _ in range(8):
        guess(client, viewer.email)

    assert right(client, viewer) == 429
    assert not is_in(client)


def test_guesses_from_other_networks_do_not_delay_the_user(
    viewer: User, from_network: FromNetwork
) -> None:
    attacker = from_network(AWAY)
    for _ in range(40):
        guess(attacker, viewer.email)

    assert right(from_network(ELSEWHERE), viewer) == 302


def test_a043_one_account_guessed_from_a_thousand_networks_has_one_limit(
    viewer: User, from_network: FromNetwork
) -> None:
    codes = [guess(from_network(f"198.18.{n // 250}.{n % 250}"), viewer.email) for n in range(200)]

    assert codes == [401] * 70 + [429] * 130


def test_attempts_over_the_account_limit_are_not_scored(
    viewer: User, from_network: FromNetwork
) -> None:
    for n in range(70):
        guess(from_network(f"198.18.0.{n}"), viewer.email)

    assert right(from_network(ELSEWHERE), viewer) == 429

    assert Violation.objects.count() == 0


def test_a_known_device_is_not_affected_by_guesses_of_others(
    viewer: User, from_network: FromNetwork
) -> None:
    device = from_network(AWAY)
    assert right(device, viewer) == 302
    device.post("/sign-out")
    neighbour = from_network(AWAY)
    for _ in range(20):
        guess(neighbour, viewer.email)
    for n in range(100):
        guess(from_network(f"198.18.0.{n}"), viewer.email)

    assert right(neighbour, viewer) == 429
    assert right(device, viewer) == 302


def test_a_known_device_has_its_own_limit(viewer: User, from_network: FromNetwork) -> None:
    device = from_network(AWAY)
    right(device, viewer)

    assert [guess(device, viewer.email) for _ in range(9)] == [401] * 7 + [429] * 2


def test_a_known_device_is_unknown_to_other_accounts(
    viewer: User, editor: User, from_network: FromNetwork
) -> None:
    device, neighbour = from_network(AWAY), from_network(AWAY)
    right(device, viewer)
    for _ in range(8):
        guess(neighbour, editor.email)

    assert right(device, editor) == 429


def test_ending_all_sessions_forgets_all_known_devices(
    viewer: User, from_network: FromNetwork
) -> None:
    device, neighbour = from_network(AWAY), from_network(AWAY)
    right(device, viewer)
    end_sessions(actor=viewer, user=viewer)
    for _ in range(8):
        guess(neighbour, viewer.email)

    assert right(device, viewer) == 429


def test_the_device_that_ends_all_sessions_stays_known(
    viewer: User, from_network: FromNetwork
) -> None:
    device, neighbour = from_network(AWAY), from_network(AWAY)
    right(device, viewer)
    device.post("/account/sessions/end")
    for _ in range(8):
        guess(neighbour, viewer.email)

    assert right(device, viewer) == 302


@pytest.mark.parametrize("forged", ["", "x", "W10:1:x", "a" * 5000])
def test_a_forged_cookie_makes_no_known_device(
    viewer: User, from_network: FromNetwork, settings, forged: str
) -> None:
    client = from_network(AWAY)
    for _ in range(8):
        guess(client, viewer.email)

    client.cookies[settings.DEVICE_COOKIE_NAME] = forged

    assert right(client, viewer) == 429


def test_the_cookie_contains_no_user_and_scripts_cannot_read_it(
    viewer: User, from_network: FromNetwork, settings
) -> None:
    client = from_network(AWAY)
    right(client, viewer)

    cookie = client.cookies[settings.DEVICE_COOKIE_NAME]

    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert viewer.email not in cookie.value


def test_a_sign_in_link_works_while_passwords_are_delayed(
    viewer: User, from_network: FromNetwork
) -> None:
    client = from_network(AWAY)
    for _ in range(10):
        guess(client, viewer.email)

    by_magic_link(viewer)(client)

    assert is_in(client)


NETWORKS = ["203.0.113.7", "203.0.113.8", "198.51.100.9"]
steps = some.lists(
    some.tuples(
        some.sampled_from(NETWORKS),
        some.sampled_from(["password", "link", "reset"]),
        some.sampled_from([0, 1, 60, 301, 4000]),
    ),
    min_size=5,
    max_size=15,
)


@given(steps)
@sized(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_sequence_of_requests_locks_out_another_user(
    viewer: User,
    from_network: FromNetwork,
    clock: Callable[[float], None],
    attack: list[tuple[str, str, int]],
) -> None:
    """A known device signs in at once; a new one, after the maximum wait at the latest."""
    cache.clear()
    Ban.objects.all().delete()
    device = from_network("192.0.2.1")
    assert right(device, viewer) == 302

    for network, method, pause in attack:
        client = from_network(network)
        for _ in range(8):
            if method == "password":
                guess(client, viewer.email)
            elif method == "link":
                client.post("/magic-link", {"email": viewer.email})
            else:
                client.post("/password/forgot", {"email": viewer.email})
        clock(pause)

    assert right(device, viewer) == 302
    assert not Ban.objects.filter(user=viewer).exists()
    clock(max(BOUND, BAN_SECONDS) + 1)
    assert right(from_network(NETWORKS[0]), viewer) == 302
