"""The page of one user as the hub: state, buttons, sections of all apps, what they can reach."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from access_reviews.access import Access
from access_reviews.models import AccessReview, ReviewItem
from accounts.actors import SYSTEM
from accounts.admin.users import sections
from accounts.admin.users.sections import SHOWN, Content, Row, add_section
from accounts.models import BrowserSession, Invitation, User
from accounts.services import users
from accounts.services.invitations import invite
from accounts.sessions.reauthentication import AUTHENTICATED_AT
from api.models import TokenFamily
from api.tokens.refresh_tokens import start_by_password
from audit import audit_log
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from forward_auth.models import AccessRule, Denial
from forward_auth.services.rules import create_rule
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mfa.models import Authenticator, TrustedBrowser
from moderation.models import Ban, Violation
from moderation.services.bans import ban
from moderation.services.violations import record_violation
from tests.admin.conftest import LIST, BrowserOf, MakeUser, page_of
from tests.api.keys import made
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
HOUR = timedelta(hours=1)


@pytest.fixture
def jon(make_user: MakeUser) -> User:
    return make_user("editor", "jon@example.com", name="Jon Doe")


@pytest.fixture
def only_own_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    monkeypatch.setattr(sections, "_sections", dict(sections._sections))


def shown(page: HttpResponse) -> dict[str, Content]:
    """The sections of a page by name."""
    return {one.section.name: one.content for one in page.context["sections"]}


def text(page: HttpResponse) -> str:
    return page.content.decode()


def since(event: AuditEvent) -> list[tuple[str, Any]]:
    """Actions and results that were audited after `event`."""
    rows = AuditEvent.objects.filter(seq__gt=event.seq).order_by("seq")
    return list(rows.values_list("action", "target_id"))


def newest_event() -> AuditEvent:
    return AuditEvent.objects.latest("seq")


def fill(user: User, owner: User, number: int) -> None:
    """`number` rows of the user in each table that the page reads."""
    now = timezone.now()
    for each in range(number):
        name = f"{user.pk}-{each}"
        BrowserSession.objects.create(
            session_key=hashlib.sha256(name.encode()).hexdigest(),
            session_data="",
            user=user,
            expire_date=now + HOUR,
        )
        made(user, f"script {each}")
        start_by_password(user, timezone.now())
        issue_link(user, actor=owner, lifetime=HOUR, source="panel")
        Authenticator.objects.create(
            user=user, kind="passkey", name=name[:80], credential_id=name, credential={}
        )
        TrustedBrowser.objects.create(
            user=user,
            digest=hashlib.sha256(name.encode()).hexdigest(),
            created_at=user.issue_time(now),
            expires_at=now + HOUR,
        )
        ExternalIdentity.objects.create(user=user, provider="github", subject=name)
        record_violation(type="upload", user=user, score=0.5)
        Ban.objects.create(user=user, kind="manual", lifted_at=now)
        Denial.objects.create(
            reference=f"{each:08d}", status=403, code="forbidden", why="", user=user, host="a.b"
        )
        Invitation.objects.create(
            email=f"guest{each}@example.com",
            digest=hashlib.sha256(f"i{name}".encode()).hexdigest(),
            role="viewer",
            invited_by=user,
            expires_at=now + HOUR,
        )
        review = AccessReview.objects.create(name=name[:80], scope="all", due_at=now + HOUR)
        ReviewItem.objects.create(
            review=review,
            user_id=user.pk,
            access=Access(user.role).as_json(),
            decision="confirmed",
            decided_by=owner.pk,
            decided_at=now,
        )
        audit_log.record("account:user:edit", actor=user, target=owner, fields=["name"])


# Sections


def test_each_section_shows_its_newest_rows_and_a_link_to_all(as_role: AsRole, jon: User) -> None:
    browser, owner = as_role("owner")
    fill(jon, owner, SHOWN + 2)

    page = browser.get(page_of(jon))

    counts = {name: content.count for name, content in shown(page).items() if content.columns}
    assert counts == dict.fromkeys(
        ("denials", "sessions", "programs", "keys", "links", "invitations", "factors", "browsers",
         "providers", "moderation", "reviews", "history"),
        f"{SHOWN}+",
    ) | {"groups": "0", "app-access": "0"}  # fmt: skip
    for name, content in shown(page).items():
        is_filled = content.columns and name not in ("groups", "app-access")
        assert len(content.labelled_rows) == (SHOWN if is_filled else 0), name
    for name in ("denials", "sessions", "programs", "keys", "links", "invitations", "moderation",
                 "reviews", "history"):  # fmt: skip
        every = browser.get(shown(page)[name].more)
        assert every.status_code == 200
        assert every.context["cl"].result_count >= SHOWN + 1, name


def test_the_page_makes_the_same_number_of_queries_for_few_and_many_rows(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, owner = as_role("owner")
    few, many = make_user("viewer", "few@example.com"), make_user("viewer", "many@example.com")
    fill(few, owner, 1)
    Denial.objects.all().delete()
    fill(many, owner, 25)
    counts = []

    for person in (few, many):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page_of(person)).status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]
    assert counts[0] <= 45


def test_history_tells_what_they_did_and_what_was_done_to_them_in_sentences(
    as_role: AsRole, jon: User, viewer: User
) -> None:
    browser, owner = as_role("owner")
    owner_name = owner.name or owner.email
    users.change_role(actor=owner, user=jon, role="viewer")
    jon.refresh_from_db()
    audit_log.record("account:user:edit", actor=jon, target=viewer, fields=["name"])

    content = text(browser.get(page_of(jon)))

    assert f"{owner_name} changed the role of Jon Doe from editor to viewer." in content
    assert "Jon Doe changed the profile of Vera Viewer: name." in content


def test_history_is_told_in_the_language_of_the_reader(as_role: AsRole, jon: User) -> None:
    browser, owner = as_role("owner")
    users.change_role(actor=owner, user=jon, role="viewer")

    page = browser.get(page_of(jon), headers={"accept-language": "de"})

    assert "account:role:change" not in text(page)


@pytest.mark.usefixtures("only_own_sections")
def test_an_app_adds_a_section(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")
    add_section("notes", "Notes", lambda _request, user: Content(("Text",), [Row((user.name,))]))

    page = browser.get(page_of(jon))

    names = [one.section.name for one in page.context["sections"]]
    assert names[-2:] == ["notes", "history"]
    assert '<a href="#notes">Notes <span class="hub-count">1</span></a>' in text(page)
    assert '<td data-label="Text"><div>Jon Doe</div></td>' in text(page)


def test_what_a_section_shows_is_escaped(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")
    made(jon, "<b>key</b>")

    content = text(browser.get(page_of(jon)))

    assert "<b>key</b>" not in content
    assert "&lt;b&gt;key&lt;/b&gt;" in content


# State


def test_the_page_is_titled_by_the_name_and_tells_role_and_state(
    as_role: AsRole, jon: User
) -> None:
    browser, _owner = as_role("owner")

    page = browser.get(page_of(jon))

    assert "<h1>Jon Doe</h1>" in text(page)
    badges = "".join(page.context["badges"])
    assert [word in badges for word in ("Editor", "Active", "Banned")] == [True, True, False]
    assert page.context["notices"] == []


def test_the_top_tells_why_and_until_when_an_account_is_closed(as_role: AsRole, jon: User) -> None:
    browser, owner = as_role("owner")
    ban(actor=owner, user=jon, duration=HOUR, reason="Rude.")
    users.disable_user(actor=SYSTEM, user=jon, reason="left the company")
    User.objects.filter(pk=jon.pk).update(email_verified_at=None)

    page = browser.get(page_of(jon))

    notices = {str(one.title): one for one in page.context["notices"]}
    assert list(notices) == ["The account is disabled", "The address is not verified", "Banned"]
    assert "Gatehouse disabled the account of Jon Doe. Reason: left the company." in str(
        notices["The account is disabled"].text
    )
    assert notices["Banned"].text == "Reason: Rude."
    assert notices["Banned"].until == Ban.objects.get().until
    badges = "".join(page.context["badges"])
    assert [word in badges for word in ("Disabled", "Banned", "Address not verified")] == [True] * 3


def test_an_account_at_which_passwords_were_guessed_is_shown_as_locked(
    as_role: AsRole, jon: User, settings: Any
) -> None:
    browser, _owner = as_role("owner")
    maximum, _window = settings.LIMITS["sign-in-account"]
    before = [str(one.title) for one in browser.get(page_of(jon)).context["notices"]]
    for number in range(maximum):
        guesser = Client(REMOTE_ADDR=f"203.0.{number}.7", headers={"host": "localhost:8000"})
        guesser.post("/sign-in", {"login": jon.email, "password": "wrong"})

    notices = browser.get(page_of(jon)).context["notices"]

    assert before == []
    assert [str(one.title) for one in notices] == ["Locked by wrong passwords"]
    assert notices[0].until > timezone.now()


# Buttons


def _press(browser: Client, user: User, action: str, **more: str) -> HttpResponse:
    fields = {"action": action, "_selected_action": str(user.pk), "user_page": str(user.pk)}
    return browser.post(LIST, fields | more)


def test_the_link_is_shown_on_the_page_of_its_user_and_not_cached(
    as_role: AsRole, jon: User
) -> None:
    browser, _owner = as_role("owner")
    before = newest_event()

    answer = _press(browser, jon, "get_login_url")

    assert answer.status_code == 200
    assert "<h1>Jon Doe</h1>" in text(answer)
    assert answer.context["panel"]["links"][0]["url"] in text(answer)
    assert "no-store" in answer["Cache-Control"]
    assert f'<form action="{page_of(jon)}" method="post"' in text(answer)
    assert since(before) == [("link:login:issue", jon.pk)]


def test_a_ban_asks_and_leads_back_to_the_page(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")

    asked = _press(browser, jon, "ban_people")
    done = _press(browser, jon, "ban_people", confirmed="yes", duration="1h", reason="Spam")

    assert f'<input type="hidden" name="user_page" value="{jon.pk}">' in text(asked)
    assert f'href="{page_of(jon)}">Cancel' in text(asked)
    assert (done.status_code, done["Location"]) == (302, page_of(jon))
    assert Ban.objects.get().user == jon
    page = browser.get(page_of(jon))
    assert 'value="ban_people"' not in text(page)
    assert 'value="lift_bans_of_people"' in text(page)


def test_a_button_leads_back_also_after_a_reauthentication(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")
    session = browser.session
    session[AUTHENTICATED_AT] = (timezone.now() - timedelta(days=1)).isoformat()
    session.save()
    fields = {"confirmed": "yes", "duration": "1h", "reason": "Spam"}

    asked = _press(browser, jon, "ban_people", **fields)
    page = browser.get(asked["Location"])
    hidden = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', text(page)))
    confirmed = browser.post(asked["Location"], {**hidden, "password": PASSWORD}, follow=False)
    done = browser.post(confirmed["Location"], {**hidden, "password": PASSWORD})

    assert asked["Location"].startswith("/confirm")
    assert confirmed.status_code == 307
    assert (done.status_code, done["Location"]) == (302, page_of(jon))
    assert Ban.objects.get().user == jon


@pytest.mark.parametrize("given", ["", "https://evil.example", "//evil.example/", "x" * 40])
def test_a_button_leads_to_a_user_page_or_to_the_list(
    as_role: AsRole, jon: User, given: str
) -> None:
    browser, _owner = as_role("owner")

    fields = {"_selected_action": str(jon.pk), "confirmed": "yes", "user_page": given}
    answer = browser.post(LIST, fields | {"action": "disable_people"})

    assert (answer.status_code, answer["Location"]) == (302, LIST)


def _session(jon: User, _owner: User) -> tuple[str, str]:
    return "sessions", str(BrowserSession.objects.get(user=jon).public_id)


def _key(jon: User, _owner: User) -> tuple[str, str]:
    return "keys", made(jon).key.pk


def _program(jon: User, _owner: User) -> tuple[str, str]:
    start_by_password(jon, timezone.now())
    return "programs", str(TokenFamily.objects.get().pk)


def _link(jon: User, owner: User) -> tuple[str, str]:
    issue_link(jon, actor=owner, lifetime=HOUR, source="panel")
    return "links", str(LoginLink.objects.get().pk)


def _ban(jon: User, owner: User) -> tuple[str, str]:
    return "moderation", str(ban(actor=owner, user=jon, duration=None, reason="Spam").pk)


def _invitation(jon: User, _owner: User) -> tuple[str, str]:
    User.objects.filter(pk=jon.pk).update(role="admin")
    jon.refresh_from_db()
    return "invitations", str(invite(actor=jon, email="guest@example.com").invitation.pk)


ROW_BUTTONS: dict[str, tuple[Callable[[User, User], tuple[str, str]], str, bool]] = {
    "session": (_session, "account:session:end", True),
    "key": (_key, "api:key:revoke", True),
    "program": (_program, "api:token:end", True),
    "link": (_link, "link:login:withdraw", True),
    "ban": (_ban, "moderation:ban:lift", True),
    "invitation": (_invitation, "account:invitation:withdraw", False),
}


@pytest.mark.parametrize("kind", ROW_BUTTONS)
def test_each_row_has_a_button_that_asks_acts_and_leads_back(
    as_role: AsRole, jon: User, browser_of: BrowserOf, kind: str
) -> None:
    browser, owner = as_role("owner")
    browser_of(jon)
    prepare, action, is_about_user = ROW_BUTTONS[kind]
    name, key = prepare(jon, owner)
    before = newest_event()
    page = browser.get(page_of(jon))
    button = shown(page)[name].rows[0].button

    assert button is not None
    assert button.key == key
    assert str(button.question).endswith(".")
    assert str(button.question).replace('"', "&quot;") in text(page)
    answer = browser.post(
        button.url,
        {"action": button.action, "_selected_action": key, "user_page": str(jon.pk)},
    )

    assert (answer.status_code, answer["Location"]) == (302, page_of(jon))
    assert since(before) == [(action, jon.pk if is_about_user else None)]
    rows = shown(browser.get(page_of(jon)))[name].rows
    assert [row.button for row in rows if row.button and row.button.key == key] == []


def test_a_ban_in_force_tells_when_it_ends(as_role: AsRole, jon: User) -> None:
    browser, owner = as_role("owner")
    ban(actor=owner, user=jon, duration=None, reason="Spam")

    rows = shown(browser.get(page_of(jon)))["moderation"].rows

    assert strip_tags(rows[0].cells[3]) == "In force Ends when it is lifted."


@pytest.mark.parametrize("kind", ["program", "link"])
def test_an_admin_ends_nothing_of_an_owner(as_role: AsRole, make_user: MakeUser, kind: str) -> None:
    browser, _admin = as_role("admin")
    owner = make_user("owner", "boss@example.com")
    name, key = ROW_BUTTONS[kind][0](owner, owner)
    before = newest_event()
    page = browser.get(page_of(owner))
    button = shown(page)[name].rows[0].button
    assert button is not None

    browser.post(button.url, {"action": button.action, "_selected_action": key})

    assert 'class="hub-ask"' not in text(page)
    assert since(before) == []


# What they can reach


@pytest.fixture
def rules(db: None) -> None:
    for name, effect, role, host, path in (
        ("Wiki administration", "role", "admin", "wiki.example.com", "/admin"),
        ("Wiki", "role", "viewer", "wiki.example.com", ""),
        ("Status", "public", "viewer", "status.example.com", ""),
        ("Old shop", "deny", "viewer", "shop.example.com", ""),
    ):
        rule = AccessRule(name=name, effect=effect, role=role, host=host, path=path)
        create_rule(actor=SYSTEM, rule=rule)


def _answers(page: HttpResponse) -> dict[str, tuple[bool, str]]:
    lines = shown(page)["reach"].context["rules"]
    return {strip_tags(line.rule): ("Yes" in line.answer, line.why) for line in lines}


@pytest.mark.usefixtures("rules")
def test_each_rule_is_answered_for_the_user(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")

    assert _answers(browser.get(page_of(jon))) == {
        "Wiki administration": (False, "Role or rule"),
        "Wiki": (True, ""),
        "Status": (True, ""),
        "Old shop": (False, "Role or rule"),
    }


@pytest.mark.usefixtures("rules")
def test_a_disabled_user_reaches_only_what_is_public(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")
    users.disable_user(actor=SYSTEM, user=jon)

    page = browser.get(page_of(jon))

    assert [name for name, (passes, _why) in _answers(page).items() if passes] == ["Status"]
    assert _answers(page)["Wiki"][1] == "may not sign in"
    assert "This person may not sign in now." in text(page)


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("url", "method", "status"),
    [
        ("wiki.example.com/page", "GET", 204),
        ("https://wiki.example.com/admin/users", "GET", 403),
        ("status.example.com", "POST", 204),
        ("shop.example.com", "GET", 403),
        ("elsewhere.example.com", "DELETE", 204),
    ],
)
def test_the_form_asks_the_engine(
    as_role: AsRole, jon: User, url: str, method: str, status: int
) -> None:
    browser, _owner = as_role("owner")
    before = newest_event()

    page = browser.get(page_of(jon), {"url": url, "method": method})

    content = shown(page)["reach"].context
    assert content["result"]["status"] == status
    assert f"who={jon.pk}" in content["trial"]
    assert browser.get(content["trial"]).context["result"]["status"] == status
    assert (since(before), Denial.objects.count()) == ([], 0)


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("asked", [{"url": ""}, {"url": "x", "method": "NONSENSE"}, {"url": "\0"}])
def test_a_question_that_cannot_be_read_is_answered_beside_the_field(
    as_role: AsRole, jon: User, asked: dict[str, str]
) -> None:
    browser, _owner = as_role("owner")

    page = browser.get(page_of(jon), asked)

    content = shown(page)["reach"].context
    assert page.status_code == 200
    assert content["result"] is None
    assert content["form"].errors


def test_denied_access_leads_to_its_explanation(as_role: AsRole, jon: User) -> None:
    browser, _owner = as_role("owner")
    Denial.objects.create(
        reference="ABCD2345", status=403, code="forbidden", why="", user=jon, host="a.b", path="/x"
    )

    page = browser.get(page_of(jon))

    row = shown(page)["denials"].rows[0]
    assert '<a href="/admin/forward_auth/denial/ABCD2345/change/">' in row.cells[2]
    assert Violation.objects.count() == 0
