"""Races with exactly one winner: many clients at a new site of two nodes behind proxies."""

import json
from datetime import UTC, datetime
from itertools import cycle, islice

import pytest

from devtools.servers.processes import wait_for
from mfa import totp
from tests.attacks.conftest import CHOSEN, StartSite, is_full
from tests.attacks.crowd import RecordedAction, at_once, outcomes
from tests.attacks.site import PASSWORD, SITE, URL, Site, Visitor
from tests.mfa.passkeys.device import Device

CROWD = 20
NODES = 2
PHRASE = "seven quiet rivers under glass"
# The server hashes a password for each attempt; more of it is for the whole list.
LIMITS = {"LOGIN_MAX": "7", "REGISTER_MAX": "100"}
# As a first start leaves it; the part of the set-up link that is printed.
# Sign-ups of another test that still wait would make accounts here.
FRESH = """
from accounts.models import EmailRequest
from accounts.services import first_run
EmailRequest.objects.all().delete()
User.objects.all().delete()
result = first_run.issue_setup_link(first_run.ensure_owner()).token
"""
# Of `email`: sessions, and successful acts in the audit log.
STARTS = """
from audit.models import AuditEvent
user = User.all_objects.get(email={email!r})
done = AuditEvent.objects.filter(target_id=user.pk, result="success")
result = [user.sessions.count(), done.filter(action="account:session:start").count()]
"""
WITH_APP = """
from mfa.models import Authenticator
from tests.mfa.authenticator import set_up_app
user = User.objects.get(email={email!r})
app = set_up_app(user)
result = [app.secret.hex(), list(app.recovery_codes)]
"""


@pytest.fixture(scope="module", params=CHOSEN, ids="-".join)
def site(request: pytest.FixtureRequest, start_site: StartSite) -> Site:
    """A site of two nodes before its set-up."""
    return start_site(*request.param, nodes=NODES, **LIMITS)


def crowd(site: Site, size: int = CROWD) -> list[Visitor]:
    """Visitors of all nodes in turn, with a CSRF cookie."""
    visitors = [site.visitor(node=node) for node in islice(cycle(range(NODES)), size)]
    for visitor in visitors:
        # The token is any text that cookie and form share; a page for each costs too much.
        visitor.cookies["__Host-gatehouse_csrf"] = "c" * 32
    return visitors


def starts(site: Site, email: str) -> list[int]:
    found: list[int] = site.drive(STARTS.format(email=email))
    return found


def half_signed_in(site: Site, email: str, node: int) -> Visitor:
    """A browser in which the password was right."""
    visitor = site.visitor(node=node)
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", {"login": email, "password": PASSWORD})
    assert answer.headers["location"] == "/second-factor"
    return visitor


def test_a_fresh_site_is_set_up_once_and_only_by_the_printed_link(site: Site) -> None:
    token = site.drive(FRESH)
    wrong = site.visitor()
    wrong.get("/sign-in")
    signing_in = {"login": "admin@admin.com", "password": "admin"}
    assert wrong.post("/sign-in", signing_in).status == 401
    assert wrong.post("/sign-in", {**signing_in, "setup_code": "x" * 43}).status == 401
    assert wrong.get(f"/set-up/{'x' * 43}").headers["location"].startswith("/sign-in")

    strangers = [
        RecordedAction(
            visitor,
            "/sign-up",
            {"email": f"s{number}@example.net", "name": "", "password": PHRASE, "setup_code": code},
        )
        for number, visitor in enumerate(crowd(site, 6))
        for code in ["" if number % 2 else "x" * 43]
    ]
    assert outcomes(at_once(strangers)) == {(400, ""): 6}
    made = "result = User.objects.filter(email__endswith='@example.net').count()"
    assert site.drive(made) == 0

    claims = [
        RecordedAction(
            visitor, f"/set-up/{token}", {"email": f"o{number}@example.net", "password": PHRASE}
        )
        for number, visitor in enumerate(crowd(site))
    ]
    answers = at_once(claims)

    (won,) = [place for place, answer in enumerate(answers) if answer.status == 302]
    assert outcomes(answers) == {
        (302, "/admin/set-up/"): 1,
        (303, "/sign-in?notice=set-up-used"): CROWD - 1,
    }
    people = "result = list(User.objects.people().values_list('email', 'role', 'setup_completed'))"
    assert site.drive(people) == [[f"o{won}@example.net", "owner", True]]
    assert starts(site, f"o{won}@example.net") == [1, 1]
    # Afterwards the page is gone, and the published password opens nothing.
    late = site.visitor()
    assert late.get(f"/set-up/{token}").headers["location"] == "/sign-in?notice=set-up-used"
    late.get("/sign-in")
    assert late.post("/sign-in", {**signing_in, "setup_code": token}).status == 401


def test_of_many_first_sign_ups_one_becomes_admin(site: Site) -> None:
    token = site.drive(FRESH)
    form = {"name": "", "password": PHRASE, "setup_code": token}

    answers = at_once(
        [
            RecordedAction(visitor, "/sign-up", {**form, "email": f"first{number}@example.net"})
            for number, visitor in enumerate(crowd(site, 8))
        ]
    )

    assert outcomes(answers) == {(302, "/account/"): 1, (200, ""): 7}
    roles = "result = list(User.objects.people().filter(role__in=['admin', 'owner'])\\\n"
    assert site.drive(roles + ".values_list('role', flat=True))") == ["admin"]


def test_a_link_signs_in_one_of_many_clients(site: Site) -> None:
    email = site.user()
    path = site.drive(
        "from accounts.actors import SYSTEM\nfrom magiclinks.services import issue_link\n"
        f"user = User.objects.get(email={email!r})\n"
        "result = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source='command').url"
    ).removeprefix(URL)

    answers = at_once([RecordedAction(visitor, path, {}) for visitor in crowd(site)])

    assert outcomes(answers) == {
        (302, "/account/"): 1,
        (303, "/sign-in?notice=link-used"): CROWD - 1,
    }
    assert starts(site, email) == [1, 1]
    with_session = [a for a in answers if any("gatehouse_session=" in c for c in a.set_cookies)]
    assert [answer.status for answer in with_session] == [302]


@pytest.mark.parametrize("kind", ["code of an app", "recovery code"])
def test_a_second_factor_code_signs_in_one_browser(site: Site, kind: str) -> None:
    email = site.user()
    secret, recovery = site.drive(WITH_APP.format(email=email))
    step = totp.step_at(datetime.now(UTC).timestamp())
    code = recovery[0] if kind == "recovery code" else totp.code_of(bytes.fromhex(secret), step)
    waiting = [half_signed_in(site, email, node) for node in (0, 1, 0, 1, 0)]

    answers = at_once(
        [RecordedAction(visitor, "/second-factor", {"code": code}) for visitor in waiting]
    )

    assert outcomes(answers) == {(302, "/account/"): 1, (401, ""): 4}
    assert starts(site, email) == [1, 1]


def passkey_of(site: Site, email: str) -> Device:
    """Added by the account page."""
    home, device = site.signed_in(email), Device(origin=URL, host=SITE)
    headers = {"Origin": URL, "X-CSRFToken": home.csrf_token}
    options = home.send("POST", "/account/passkeys/options", "{}", headers)
    body = json.dumps({"credential": device.create(json.loads(options.text)), "name": "Laptop"})
    assert home.send("POST", "/account/passkeys", body, headers).status == 201
    return device


def test_a_passkey_assertion_signs_in_once(site: Site) -> None:
    email = site.user()
    device = passkey_of(site, email)
    asking = site.visitor()
    asking.get("/sign-in")
    headers = {
        "Accept": "application/json",
        "Origin": URL,
        "X-CSRFToken": asking.csrf_token,
    }
    asked = asking.send("POST", "/sign-in/passkey/options", '{"purpose": "sign-in"}', headers)
    body = json.dumps({"credential": device.get(json.loads(asked.text))})
    before = starts(site, email)
    copies = [site.visitor(asking.cookies, node=number % NODES) for number in range(8)]

    answers = at_once(
        [RecordedAction(copy, "/sign-in/passkey", body=body, headers=headers) for copy in copies]
    )

    # 400: the first one has ended the session in which the question was asked.
    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(400) + statuses.count(401)) == (1, 7)
    assert starts(site, email) == [count + 1 for count in before]


def test_an_invitation_creates_one_account(site: Site) -> None:
    path = site.drive(
        "from accounts.actors import SYSTEM\nfrom accounts.services.invitations import invite\n"
        "result = invite(actor=SYSTEM, email='guest@example.net', role='editor').url"
    ).removeprefix(URL)

    answers = at_once(
        [
            RecordedAction(visitor, path, {"name": f"Guest {number}", "password": PHRASE})
            for number, visitor in enumerate(crowd(site, 8))
        ]
    )

    (won,) = [place for place, answer in enumerate(answers) if answer.status == 303
              and answer.headers["location"] == "/account/"]  # fmt: skip
    assert outcomes(answers) == {
        (303, "/account/"): 1,
        (303, "/sign-in?notice=invitation-used"): 7,
    }
    found = "result = list(User.objects.filter(email='guest@example.net')"
    assert site.drive(f"{found}.values_list('name', 'role'))") == [[f"Guest {won}", "editor"]]
    assert starts(site, "guest@example.net") == [1, 1]


def test_a_reset_link_sets_one_password(site: Site) -> None:
    email = site.user()
    path = site.drive(
        "from accounts.services.email_tokens import issue_token\n"
        f"user = User.objects.get(email={email!r})\n"
        "result = issue_token(user, 'reset-password', lifetime=timedelta(hours=1)).url"
    ).removeprefix(URL)

    answers = at_once(
        [
            RecordedAction(visitor, path, {"password": f"{PHRASE} {number}"})
            for number, visitor in enumerate(crowd(site, 8))
        ]
    )

    assert outcomes(answers) == {
        (303, "/sign-in?notice=password-changed"): 1,
        (303, "/sign-in?notice=reset-used"): 7,
    }
    (won,) = [
        place for place, answer in enumerate(answers) if "changed" in answer.headers["location"]
    ]
    right = "result = [n for n in range(8) if User.objects.get(email="
    assert site.drive(f"{right}{email!r}).check_password(f'{PHRASE} {{n}}')]") == [won]


def test_one_address_in_many_spellings_creates_one_account(site: Site) -> None:
    site.user("owner")  # before there is one, a sign-up needs the printed code
    spellings = ["twin@example.net", "TWIN@example.net", "twin@EXAMPLE.NET", " twin@example.net "]

    answers = at_once(
        [
            RecordedAction(visitor, "/sign-up", {"email": spelling, "name": "", "password": PHRASE})
            for visitor, spelling in zip(crowd(site, 8), spellings * 2, strict=True)
        ]
    )

    assert outcomes(answers) == {(200, ""): 8}
    waiting = "from accounts.models import EmailRequest\nresult = EmailRequest.objects.count()"
    assert wait_for(lambda: site.drive(waiting) == 0)
    made = "result = User.objects.filter(email__iexact='twin@example.net').count()"
    assert site.drive(made) == 1


def test_two_owners_who_demote_each_other_leave_one(site: Site) -> None:
    site.drive("User.objects.filter(role='owner').update(role='viewer')")
    owners = [site.user("owner"), site.user("owner")]
    keys = {email: str(site.drive(f"result = User.objects.get(email={email!r}).pk"))
            for email in owners}  # fmt: skip
    browsers = [site.signed_in(email) for email in owners]
    browsers[1].front = site.fronts[1]

    answers = at_once(
        [
            RecordedAction(
                browser,
                f"/api/v1/users/{keys[other]}",
                method="PATCH",
                body='{"role": "viewer"}',
                headers={"X-CSRFToken": browser.csrf_token},
            )
            for browser, other in zip(browsers, reversed(owners), strict=True)
        ]
    )

    assert site.drive("result = User.objects.people().filter(role='owner').count()") == 1
    assert [answer.status for answer in answers].count(200) == 1


def test_concurrent_guesses_are_checked_only_up_to_the_limit(site: Site) -> None:
    """Their one address is what the limit counts, whichever node they ask."""
    email = site.user()
    guessing = crowd(site)
    for visitor in guessing:
        visitor.address = guessing[0].address

    form = {"login": email, "password": "not the password of anybody"}
    answers = at_once([RecordedAction(visitor, "/sign-in", form) for visitor in guessing])

    counted = outcomes(answers)
    assert counted == {(401, ""): int(LIMITS["LOGIN_MAX"]), (429, ""): CROWD - 7}
    assert all(int(a.headers["retry-after"]) > 0 for a in answers if a.status == 429)
    late = site.visitor()
    late.address = guessing[0].address
    late.get("/sign-in")
    assert late.post("/sign-in", {"login": email, "password": PASSWORD}).status == 429


# What an administrator asks for at the moment in which an owner ends their access: path, body.
FORMS: dict[str, tuple[str, str, str]] = {
    "accounts": ("POST", "users", '{{"email": "new-{number}-{tag}@example.net"}}'),
    "links": ("POST", "users/{person}/magic-link", "{{}}"),
    "invitations": ("POST", "invitations", '{{"email": "in-{number}-{tag}@example.net"}}'),
    "passwords": ("POST", "users/{person}/password", '{{"password": "{phrase} {number}"}}'),
}
ENDS: dict[str, tuple[str, str, str, int]] = {
    "demoted": ("PATCH", "users/{person}", '{"role": "viewer"}', 200),
    "disabled": ("PATCH", "users/{person}", '{"is_active": false}', 200),
    "banned": ("POST", "users/{person}/ban", '{"reason": "x"}', 201),
    "signed out": ("DELETE", "users/{person}/sessions", "", 204),
}
# Acts of the administrator that stand in the log after the end of their access.
LATE = """
from audit.models import AuditEvent
own = AuditEvent.objects.filter(actor_id={key!r}, result="success")
end = AuditEvent.objects.filter(target_id={key!r}, result="success").exclude(actor_id={key!r})
result = [end.count(), own.filter(seq__gt=end.order_by("seq")[0].seq).count()]
"""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("fields", FORMS)
def test_an_administrator_without_access_can_do_nothing(site: Site, fields: str, end: str) -> None:
    """Requests that wait for their turn have been let in before; their acts come too late."""
    if not is_full and (list(FORMS).index(fields) + list(ENDS).index(end)) % 4:
        pytest.skip("each wish and each end once; all pairs with ATTACKS=all")
    admin, person = site.user("admin"), site.user()
    key, whom = (str(site.drive(f"result = User.objects.get(email={email!r}).pk"))
                 for email in (admin, person))  # fmt: skip
    boss, browser = site.signed_in(site.user("owner")), site.signed_in(admin)
    method, path, body = FORMS[fields]
    acts = [
        RecordedAction(
            site.visitor(browser.cookies, node=number % NODES),
            "/api/v1/" + path.format(person=whom),
            method=method,
            body=body.format(number=number, tag=key[-8:], phrase=PHRASE),
            headers={"X-CSRFToken": browser.csrf_token},
        )
        for number in range(16)
    ]
    method, path, body, status = ENDS[end]
    headers = {"X-CSRFToken": boss.csrf_token}
    acts.insert(
        3,
        RecordedAction(
            boss, "/api/v1/" + path.format(person=key), method=method, body=body, headers=headers
        ),
    )

    answers = at_once(acts)

    assert answers[3].status == status
    assert site.drive(LATE.format(key=key)) == [1, 0]
    assert {answer.status for answer in answers} <= {200, 201, 204, 401, 403}
