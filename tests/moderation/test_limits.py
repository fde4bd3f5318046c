"""Limits: the exact number for one client, and mail to one mailbox."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccountToken, User
from accounts.services.passwords import handle_reset_requests
from accounts.services.signup import handle_sign_up_requests
from audit.models import AuditEvent
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.conftest import PASSWORD, path_in
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
FromNetwork = Callable[[str], Client]
FORMS: dict[str, tuple[str, int, Callable[[str], dict[str, str]]]] = {
    "sign-up": ("/sign-up", 5, lambda email: {"email": email, "name": "N", "password": PASSWORD}),
    "reset-password": ("/password/forgot", 2, lambda email: {"email": email}),
    "magic-link": ("/magic-link", 5, lambda email: {"email": email}),
}


def networks(number: int) -> list[str]:
    return [f"198.18.{each // 250}.{each % 250 + 1}" for each in range(number)]


@pytest.mark.parametrize("form", FORMS)
def test_one_client_gets_exactly_the_configured_limit(
    owner: User, from_network: FromNetwork, form: str
) -> None:
    path, maximum, fields = FORMS[form]
    client = from_network(AWAY)

    codes = [client.post(path, fields(f"p{n}@example.com")).status_code for n in range(maximum + 2)]

    assert codes == [200] * maximum + [429] * 2
    assert from_network(ELSEWHERE).post(path, fields("p@example.com")).status_code == 200


def test_changes_of_address_are_limited_by_client(
    viewer: User, browser_of: Any, settings: Any
) -> None:
    settings.LIMITS = settings.LIMITS | {"verify-email": (2, timedelta(minutes=2))}
    browser = browser_of(viewer)
    sent = {"email": "new@example.com", "password": PASSWORD}

    codes = [browser.post("/account/email", sent).status_code for _ in range(3)]

    assert codes == [200, 200, 429]


def guess(client: Client, login: str) -> int:
    return client.post("/sign-in", {"login": login, "password": "wrong"}).status_code


def test_each_sign_in_limit_has_its_own_setting(settings: Any, from_network: FromNetwork) -> None:
    window = timedelta(minutes=5)
    settings.LIMITS = settings.LIMITS | {
        "sign-in": (2, window),
        "sign-in-client": (6, window),
        "sign-in-account": (4, window),
    }
    one, other, third = (from_network(net) for net in networks(3))

    assert [guess(one, "a@example.com") for _ in range(3)] == [401, 401, 429]
    assert [guess(other, "a@example.com") for _ in range(3)] == [401, 401, 429]
    assert guess(third, "a@example.com") == 429
    assert [guess(one, f"{n}@example.com") for n in range(4)] == [401, 401, 401, 429]


# Mail to one mailbox


def kinds() -> list[str]:
    return list(OutboxMail.objects.order_by("id").values_list("kind", flat=True))


def test_sign_up_mails_are_capped_over_all_networks(
    viewer: User, owner: User, from_network: FromNetwork
) -> None:
    for network in networks(60):
        from_network(network).post("/sign-up", FORMS["sign-up"][2](viewer.email))
        handle_sign_up_requests()

    assert kinds() == ["account-exists"] * 10


def test_reset_mails_are_capped_and_the_newest_link_stays_valid(
    viewer: User, from_network: FromNetwork
) -> None:
    for network in networks(60):
        from_network(network).post("/password/forgot", {"email": viewer.email})
        handle_reset_requests()

    assert kinds() == ["reset-password"] * 10
    newest = path_in(OutboxMail.objects.latest("id"))
    changed = from_network(ELSEWHERE).post(newest, {"password": PASSWORD + " 2"})
    assert (changed.status_code, changed["Location"]) == (303, "/sign-in?notice=password-changed")
    refused = AuditEvent.objects.filter(action="account:password:reset-request", result="refused")
    assert [row.detail for row in refused] == [{"reason": "rate_limited"}] * 50


def test_magic_links_are_capped_and_the_newest_stays_valid(
    viewer: User, from_network: FromNetwork
) -> None:
    for network in networks(60):
        from_network(network).post("/magic-link", {"email": viewer.email})
        handle_link_requests()

    assert kinds() == ["magic-link"] * 10
    client = from_network(ELSEWHERE)
    assert client.post(path_in(OutboxMail.objects.latest("id"))).status_code == 302
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize("life", [1, 10])
def test_above_the_cap_a_user_without_a_live_link_gets_one(
    viewer: User,
    from_network: FromNetwork,
    clock: Callable[[float], None],
    settings: Any,
    life: int,
) -> None:
    settings.MAGIC_LINK_EXPIRY = timedelta(minutes=life)
    for network in networks(15):
        from_network(network).post("/magic-link", {"email": viewer.email})
        handle_link_requests()
    clock(life * 60 + 1)

    from_network(ELSEWHERE).post("/magic-link", {"email": viewer.email})
    handle_link_requests()
    from_network(AWAY).post("/magic-link", {"email": viewer.email})
    handle_link_requests()

    assert kinds() == ["magic-link"] * 11
    assert LoginLink.objects.filter(used_at=None, replaced_at=None).latest("id").ip == ELSEWHERE


def test_verification_mails_are_capped(make_user: Any, from_network: FromNetwork) -> None:
    """A stranger has signed up with the victim's address, and signs in from many networks."""
    victim = make_user(email="victim@example.com", is_verified=False)
    for network in networks(60):
        from_network(network).post("/sign-in", {"login": victim.email, "password": PASSWORD})

    assert kinds() == ["verify-email"] * 10
    live = AccountToken.objects.filter(user=victim, used_at=None, replaced_at=None)
    assert live.count() == 1


@pytest.mark.parametrize("is_taken", [True, False])
def test_address_change_mails_to_one_mailbox_are_capped(
    make_user: Any, browser_of: Any, is_taken: bool
) -> None:
    target = make_user(email="victim@example.com").email if is_taken else "victim@example.com"
    codes = []
    for _ in range(15):
        browser = browser_of(make_user())
        sent = browser.post("/account/email", {"email": target, "password": PASSWORD})
        codes.append(sent.status_code)

    assert codes == [200] * 15
    assert kinds() == ["account-exists" if is_taken else "change-email"] * 10


def test_the_cap_is_one_for_all_spellings_of_an_address_and_for_each_kind(
    viewer: User, from_network: FromNetwork
) -> None:
    for number, network in enumerate(networks(12)):
        email = viewer.email.upper() if number % 2 else f" {viewer.email}"
        from_network(network).post("/password/forgot", {"email": email})
    handle_reset_requests()
    from_network(ELSEWHERE).post("/magic-link", {"email": viewer.email})
    handle_link_requests()

    assert kinds() == ["reset-password"] * 10 + ["magic-link"]
