"""Guesses, limits and bans through a proxy: no more attempts, and no effect on other users."""

import socket

import pytest

from tests.attacks.site import PASSWORD, Site, Visitor

MAXIMUM = 7  # LOGIN_MAX as it is shipped
WRONG = "not the password of anybody"
LAST = """
from audit.models import AuditEvent
event = AuditEvent.objects.latest("seq")
result = [event.action, event.result, event.ip]
"""
NETWORK = """
from accounts.actors import SYSTEM
from moderation.services.bans import ban
row = ban(actor=SYSTEM, network={network!r}, duration=timedelta(hours=1), reason="a test")
result = str(row.pk)
"""


def elsewhere() -> str:
    """An address of this machine that may be banned: not one of 127.0.0.0/8."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; the system chooses from where it would.
            probe.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no address but 127.0.0.0/8")
        return str(probe.getsockname()[0])


def guess(visitor: Visitor, login: str, password: str = WRONG, **headers: str) -> int:
    """The status of a sign-in by the form."""
    if not visitor.csrf_token:
        visitor.get("/sign-in")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return int(
        visitor.request("POST", "/sign-in", {"login": login, "password": password}, named).status
    )


def test_guesses_beyond_the_limit_are_not_checked(site: Site) -> None:
    """Right passwords among them: the counter goes by the attempt, not by its outcome."""
    email, visitor = site.user(), site.visitor()
    own = site.user()

    statuses = []
    for _ in range(MAXIMUM):
        statuses.append(guess(visitor, email))
        # Signing in to an account of one's own in between clears nothing.
        assert guess(Visitor(site.front, visitor.address), own, PASSWORD) in {302, 429}

    late = [guess(visitor, email), guess(visitor, email, PASSWORD)]
    assert statuses == [401] * MAXIMUM
    assert late == [429, 429]
    assert visitor.get("/account/").status == 302
    # The API and the other spelling of the account are the same counter.
    asked = visitor.send("POST", "/api/v1/auth/token", {"email": email, "password": PASSWORD})
    assert asked.status == 429
    assert int(asked.headers["retry-after"]) > 0
    # Clients elsewhere, and the user there, are not affected.
    assert guess(site.visitor(), email, PASSWORD) == 302


def test_all_spellings_of_a_login_share_one_counter(site: Site) -> None:
    email, visitor = site.user(), site.visitor()
    name, _, host = email.partition("@")
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in name)
    spellings = [email.upper(), f" {email} ", f"{name}@{host.upper()}", f"{email}.",
                 f"{wide}@{host}", f"{name.title()}@{host}", f"\ufeff{email}"]  # fmt: skip

    assert [guess(visitor, spelling) for spelling in spellings] == [401] * MAXIMUM

    assert guess(visitor, email, PASSWORD) == 429


FORWARDED = ["1.1.1.1", "1.1.1.1, 2.2.2.2", "127.0.0.1", "::1", "garbage", "::ffff:1.2.3.4", "",
             "1.2.3.4:55", "[::1]:80", "fe80::1%eth0", "unknown", ", ".join(["9.9.9.9"] * 60),
             "10.0.0.1,127.0.0.1", "2130706433"]  # fmt: skip


def test_no_client_can_forge_its_address(site: Site) -> None:
    email, visitor = site.user(), site.visitor()
    names = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP")

    for number, text in enumerate(FORWARDED):
        sender = site.visitor()
        sender.get("/sign-in")
        headers = {"X-Forwarded-For": text, names[number % len(names)]: text}
        fields = {"login": email, "password": WRONG}
        assert sender.request("POST", "/sign-in", fields, headers).status == 401, text
        assert site.drive(LAST) == ["account:session:start", "refused", sender.address], text
    # Nor does another address for each guess give more of them.
    visitor.get("/sign-in")
    statuses = [
        guess(visitor, site_name, X_Forwarded_For=f"203.0.113.{number}")
        for number, site_name in enumerate([f"other-{email}"] * (MAXIMUM + 1))
    ]
    assert statuses == [401] * MAXIMUM + [429]


def test_no_client_causes_a_ban_of_another_user(site: Site) -> None:
    """The abuser says that they come from the victim's address, or at the victim's account."""
    victim = site.user()
    home = site.signed_in(victim)
    abuser = site.visitor()
    for _ in range(MAXIMUM * 3):
        guess(abuser, victim, X_Forwarded_For=home.address)

    bans = "from moderation.models import Ban, Violation\n"
    assert site.drive(f"{bans}result = Ban.objects.filter(network={home.address!r}).count()") == 0
    assert site.drive(f"{bans}result = Ban.objects.filter(user__email={victim!r}).count()") == 0
    assert home.get("/account/").status == 200
    again = Visitor(site.front, home.address, {})
    assert guess(again, victim, PASSWORD) == 302


def test_cross_site_requests_are_not_scored(site: Site) -> None:
    email, visitor = site.user(), site.visitor()
    visitor.get("/sign-in")
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site",
               "Sec-Fetch-Dest": "image"}  # fmt: skip
    for _ in range(MAXIMUM + 5):
        visitor.request("POST", "/sign-in", {"login": email, "password": WRONG}, foreign)
        visitor.get("/magic-link/no-such-link", foreign)
        visitor.get("/oauth/nobody/callback?code=x&state=y", foreign)

    counted = "from moderation.models import Violation\n"
    assert (
        site.drive(
            f"{counted}result = Violation.objects.filter(network={visitor.address!r}).count()"
        )
        == 0
    )
    assert guess(visitor, email, PASSWORD) == 302


def test_a_banned_network_cannot_sign_in_but_live_sessions_continue(site: Site) -> None:
    email = site.user()
    home = site.signed_in(email)
    home.address = elsewhere()
    site.user("owner")  # before set-up, the first sign-up needs a code
    link = str(
        site.drive(
            "from accounts.actors import SYSTEM\nfrom magiclinks.services import issue_link\n"
            f"result = issue_link(User.objects.get(email={email!r}), actor=SYSTEM,"
            " lifetime=timedelta(hours=1), source='command').url"
        )
    ).removeprefix("https://gate.example.com")
    row = site.drive(NETWORK.format(network=home.address))
    stranger = Visitor(site.front, home.address, {})
    stranger.get("/sign-in")
    forms = {
        "/sign-in": {"login": email, "password": PASSWORD},
        "/magic-link": {"email": email},
        "/password/forgot": {"email": email},
        "/sign-up": {
            "email": f"new-{email}",
            "name": "",
            "password": "seven quiet rivers under glass",
        },
        link: {},
    }

    # A forged address does not bypass it.
    for path, fields in forms.items():
        answer = stranger.request("POST", path, fields, {"X-Forwarded-For": "198.51.100.7"})
        assert answer.status == 403, path
    program = stranger.send("POST", "/api/v1/auth/token", {"email": email, "password": PASSWORD})
    assert (program.status, '"banned"' in program.text) == (403, True)
    # One person's deeds do not throw out a whole office, nor use the link up.
    assert home.get("/account/").status == 200
    assert site.proxied_app.ask("/", site.at_app(home)).status == 200
    # The ban's end, a second away on either side, needs no clearing up.
    end = "from moderation.models import Ban\nBan.objects.filter(pk={!r}).update(until=now() + {})"
    site.drive(end.format(row, "timedelta(seconds=30)"))
    assert guess(stranger, email, PASSWORD) == 403
    site.drive(end.format(row, "timedelta(seconds=-1)"))
    assert stranger.post(link, {}).headers["location"] == "/account/"


def test_a_banned_user_gets_the_reason_through_the_proxy(site: Site) -> None:
    email = site.user("editor")
    key, browser = site.api_key(email), site.signed_in(email)
    assert site.proxied_app.ask("/", site.at_app(browser)).status == 200
    site.drive(
        "from accounts.actors import SYSTEM\nfrom moderation.services.bans import ban\n"
        f"ban(actor=SYSTEM, user=User.objects.get(email={email!r}),"
        " duration=timedelta(hours=1), reason='a test')"
    )

    by_key = site.proxied_app.ask("/", {"X-API-Key": key})
    assert by_key.status == 403
    assert not [name for name in by_key.headers if name.startswith("remote-")]
    assert site.proxied_app.ask("/", site.at_app(browser)).status == 401
    assert guess(site.visitor(), email, PASSWORD) == 403
    assert browser.get("/account/").status == 302


@pytest.mark.parametrize("field", ["login", "password"])
def test_long_and_invalid_guesses_are_rejected_before_hashing(site: Site, field: str) -> None:
    visitor = site.visitor()
    visitor.get("/sign-in")
    right = {"login": "somebody@example.com", "password": WRONG}

    for text in ("x" * 200_000, "a\0b", ""):
        assert visitor.post("/sign-in", right | {field: text}).status == 400, text[:5]
    assert visitor.post("/sign-in", right | {field: "\u202e\ud7ff\U0010ffff"}).status == 401
