"""Links in mails: scanners, attackers, floods and later changes."""

import re
from collections.abc import Callable

import pytest

from devtools.servers.processes import wait_for
from tests.attacks.site import PASSWORD, URL, Site, Visitor

SCANNERS = ["Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1)", "Barracuda Sentinel (EE)", "",
            "Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1"]  # fmt: skip
PHRASE = "seven quiet rivers under glass"
ISSUE = """
from accounts.actors import SYSTEM
from magiclinks.services import issue_link
user = User.objects.get(email={email!r})
result = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command").url
"""
TOKEN = """
from accounts.services.email_tokens import issue_token
user = User.objects.get(email={email!r})
result = issue_token(user, {purpose!r}, lifetime=timedelta(hours=1), email={new!r}).url
"""
EVENTS = """
from audit.models import AuditEvent
result = list(AuditEvent.objects.filter(action={action!r}, target_id={key!r})
              .order_by("seq").values_list("result", "detail__reason"))
"""


def link_of(site: Site, email: str) -> str:
    return str(site.drive(ISSUE.format(email=email))).removeprefix(URL)


def key_of(site: Site, email: str) -> str:
    return str(site.drive(f"result = User.objects.get(email={email!r}).pk"))


def pressed(site: Site, path: str, visitor: Visitor | None = None) -> tuple[int, str]:
    """What the button of a link's page answers in a browser."""
    visitor = visitor or site.visitor()
    visitor.get(path)
    answer = visitor.post(path, {})
    return answer.status, answer.headers.get("location", "")


def has_session(visitor: Visitor) -> bool:
    return any("session" in name for name in visitor.cookies)


def mailed_link(site: Site, email: str) -> str:
    """The path of the newest link in the mails to this address."""

    def mails() -> list[str]:
        return [
            mail.message.get_body(("plain",)).get_content()
            for mail in list(site.mail.mails)
            if mail.recipients == (email,)
        ]

    assert wait_for(mails)
    found = [word for word in mails()[-1].split() if word.startswith(f"{URL}/magic-link/")]
    return found[0].removeprefix(URL)


def test_scanners_and_prefetching_do_not_consume_a_link(site: Site) -> None:
    email, asking = site.user(), site.visitor()
    asking.get("/magic-link")
    assert asking.post("/magic-link", {"email": email}).status == 200
    path = mailed_link(site, email)

    for agent in SCANNERS:
        scanner = site.visitor()
        answer = scanner.get(path, {"User-Agent": agent})
        assert answer.status == 200
        # The host at most; the token is in the path.
        assert answer.headers["referrer-policy"] == "strict-origin"
        assert answer.headers["cache-control"].startswith("no-store")
        assert not has_session(scanner)
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND"):
        asking.request(method, path)
        assert not has_session(asking), method
    # A form without its token is shown again, and not acted upon.
    assert asking.post(path, {"csrfmiddlewaretoken": "x" * 64}).status == 403
    assert not has_session(asking)
    for header in ("Sec-Purpose", "Purpose", "X-Moz"):
        assert asking.get(path, {header: "prefetch"}).status == 200
        assert not has_session(asking), header

    # The browser that asked is in at once, by the link alone.
    assert asking.get(path).headers["location"] == "/account/"
    assert asking.get("/account/").status == 200
    assert pressed(site, path) == (303, "/sign-in?notice=link-used")
    events = site.drive(EVENTS.format(action="link:login:redeem", key=key_of(site, email)))
    assert events == [["success", None]]


REASONS = {
    "disabled": ("users.disable_user(actor=SYSTEM, user=user)", "account_disabled"),
    "signed out": ("end_sessions(actor=SYSTEM, user=user)", "token_invalid"),
    "password": (f"set_password(actor=SYSTEM, user=user, new={PHRASE!r})", "token_invalid"),
    "demoted": ("users.change_role(actor=SYSTEM, user=user, role='none')", "token_invalid"),
    "banned": (
        "ban(actor=SYSTEM, user=user, duration=timedelta(hours=1), reason='')",
        "token_invalid",
    ),
}
CHANGES = """
from accounts.actors import SYSTEM
from accounts.services import users
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from moderation.services.bans import ban
user = User.objects.get(email={email!r})
"""


@pytest.mark.parametrize("change", REASONS)
def test_a_link_issued_before_access_ended_signs_no_one_in(site: Site, change: str) -> None:
    email = site.user()
    path, key = link_of(site, email), key_of(site, email)
    code, reason = REASONS[change]
    site.drive(CHANGES.format(email=email) + code)
    visitor = site.visitor()

    answer = pressed(site, path, visitor)

    # The owner of the link has the mailbox: a ban may be revealed.
    ended = (403, "") if change == "banned" else (303, "/sign-in?notice=link-ended")
    assert answer == ended
    assert visitor.get("/account/").status == 302
    events = site.drive(EVENTS.format(action="link:login:redeem", key=key))
    assert events == [["refused", reason]]


def test_an_expired_or_replaced_link_signs_no_one_in(site: Site) -> None:
    email = site.user()
    first, second = link_of(site, email), link_of(site, email)
    assert pressed(site, first) == (303, "/sign-in?notice=link-replaced")
    site.drive(
        "from magiclinks.models import LoginLink\nLoginLink.objects.filter(used_at=None)"
        f".filter(user__email={email!r}).update(expires_at=now() - timedelta(seconds=1))"
    )
    assert pressed(site, second) == (303, "/sign-in?notice=link-expired")
    third = link_of(site, email)
    assert pressed(site, third[:-1]) == (303, "/sign-in?notice=link-unknown")
    assert pressed(site, f"{third}?next=//evil.example") == (302, "/account/")


@pytest.mark.parametrize(
    "next_url", ["//evil.example", "https:evil.example", "/\\evil.example", "javascript:alert(1)",
                 "/%0d%0aX: y", "/\t/evil.example", "https://evil.example/", "\x01//evil.example",
                 "https://gate.example.com@evil.example/"],
)  # fmt: skip
def test_a_link_redirects_to_no_other_site(site: Site, next_url: str) -> None:
    email, visitor = site.user(), site.visitor()
    visitor.get("/magic-link")
    visitor.post("/magic-link", {"email": email, "next": next_url})

    answer = visitor.get(mailed_link(site, email))

    assert (answer.status, answer.headers["location"]) in [
        (302, "/account/"),
        (302, "/%0d%0aX: y"),
        (302, "/%0d%0aX:%20y"),
    ]
    assert "x" not in answer.headers


ODD = ["a@evil.example,{email}", "{email}\r\nBcc: a@evil.example", '"a@evil.example"@{host}',
       "{name}<a@evil.example>", "{name}\uff20{host}", "a@evil.example;{email}",
       "{email} a@evil.example",
       "{email}\0a@evil.example", "mailto:{email}?cc=a@evil.example"]  # fmt: skip


def test_no_invalid_address_gets_a_mail_or_an_account(site: Site) -> None:
    email = site.user()
    name, _, host = email.partition("@")
    before = site.drive("result = User.objects.count()")

    for odd in ODD:
        typed = odd.format(email=email, name=name, host=host)
        for path in ("/magic-link", "/password/forgot"):
            visitor = site.visitor()
            visitor.get(path)
            assert visitor.post(path, {"email": typed}).status == 400, (odd, path)
        sent = site.visitor().send("POST", "/api/v1/auth/magic-link", {"email": typed})
        assert sent.status == 402, odd
        sent = site.visitor().send("POST", "/api/v1/auth/magic-link", {"email": [email, typed]})  # type: ignore[dict-item]
        assert sent.status == 402, odd

    assert site.drive("result = User.objects.count()") == before
    assert not [mail for mail in site.mail.mails if "evil.example" in "".join(mail.recipients)]


def test_a_flood_of_requests_keeps_the_newest_link_valid(site: Site) -> None:
    email, asking = site.user(), site.visitor()
    asking.get("/magic-link")
    statuses = [asking.post("/magic-link", {"email": email}).status for _ in range(8)]

    assert statuses == sorted(statuses)
    assert statuses[-1] == 429
    path = mailed_link(site, email)
    waiting = "from accounts.models import EmailRequest\nresult = EmailRequest.objects.count()"
    assert wait_for(lambda: site.drive(waiting) == 0)
    live = f"LoginLink.objects.filter(user__email={email!r}, used_at=None, replaced_at=None)"
    assert site.drive(f"from magiclinks.models import LoginLink\nresult = {live}.count()") == 1
    assert wait_for(lambda: pressed(site, mailed_link(site, email))[1] == "/account/"), path


def test_a_pre_registered_account_is_taken_from_the_attacker_by_its_owner(site: Site) -> None:
    email = site.user(email_verified_at=None)
    key = site.api_key(email)
    assert pressed(site, link_of(site, email)) == (302, "/account/")

    squatter = site.visitor()
    squatter.get("/sign-in")
    assert squatter.post("/sign-in", {"login": email, "password": PASSWORD}).status == 401
    asked = squatter.send("GET", "/api/v1/me", None, {"X-API-Key": key})
    assert asked.status == 403
    token = squatter.send("POST", "/api/v1/auth/token", {"email": email, "password": PASSWORD})
    assert token.status == 401


@pytest.mark.parametrize("purpose", ["reset-password", "verify-email", "change-email"])
def test_a_link_token_works_only_for_its_purpose(site: Site, purpose: str) -> None:
    """Neither by its own page when it is over, nor by any other page at any time."""
    email = site.user()
    new = f"moved-{email}" if purpose == "change-email" else ""
    path = str(site.drive(TOKEN.format(email=email, purpose=purpose, new=new))).removeprefix(URL)
    token = path.rpartition("/")[2]
    pages = {"/password/reset/": {"password": PHRASE}, "/magic-link/": {}, "/verify-email/": {},
             "/set-up/": {"email": "me@evil.example", "password": PHRASE},
             "/invitation/": {"name": "", "password": PHRASE}}  # fmt: skip
    own = path.removesuffix(token)

    for page, fields in pages.items():
        if page == own:
            continue
        visitor = site.visitor()
        visitor.get(page + token)
        answer = visitor.post(page + token, fields)
        assert answer.status == 303, page
        assert answer.headers["location"].startswith("/sign-in?notice="), page
        assert visitor.get("/account/").status == 302
    found = f"result = User.objects.filter(email={email!r})"
    assert site.drive(f"{found}.get().check_password({PASSWORD!r})") is True
    # Another signed-in user neither consumes it nor is affected.
    other = site.user()
    browser = site.signed_in(other)
    assert browser.get(path).status in {200, 303}
    assert browser.get("/account/").status == 200
    assert site.drive(f"result = User.objects.get(email={other!r}).check_password({PASSWORD!r})")


def asked(site: Site, path: str, field: str) -> Callable[[str], tuple[int, list[str], str]]:
    """What a form answers for an address: status, names of headers, text without the address."""

    def ask(email: str) -> tuple[int, list[str], str]:
        visitor = site.visitor()
        visitor.get(path)
        fields = {field: email, "password": PHRASE, "name": ""}
        answer = visitor.post(path, fields)
        text = re.sub(r'"[A-Za-z0-9]{64}"', "a CSRF token", answer.text.replace(email, ""))
        return answer.status, sorted(answer.headers), text

    return ask


@pytest.mark.parametrize(
    ("path", "field"),
    [("/magic-link", "email"), ("/password/forgot", "email"), ("/sign-up", "email"),
     ("/sign-in", "login")],
)  # fmt: skip
def test_no_form_reveals_who_has_an_account(site: Site, path: str, field: str) -> None:
    ask = asked(site, path, field)
    unknown = ask(f"nobody-{site.user()}")

    for state in ({}, {"is_active": False}, {"email_verified_at": None}, {"role": "none"}):
        assert ask(site.user(**state)) == unknown, state
