"""Numbers, charts and warnings of the dashboard, over generated events."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admin.dashboard import content as dashboard
from accounts.admin.dashboard import parts
from accounts.admin.dashboard.charts import HEIGHT, WIDTH, Chart, Series, by_day, round_up
from accounts.models import BrowserSession, User
from accounts.services.invitations import invite
from api.models import ApiKey
from audit import audit_log
from audit.models import AuditEvent
from mail.conf import MailSettings
from mail.models import OutboxMail
from tests.api.keys import made

pytestmark = pytest.mark.django_db
SignIn = Callable[[str], tuple[Client, User]]
MakeUser = Callable[..., User]
Status = OutboxMail.Status


def happened(action: str, days_ago: float, result: str = "success") -> AuditEvent:
    event = audit_log.record(action, result=result)
    AuditEvent.objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(days=days_ago))
    return event


def mailed(status: str, days_ago: float = 0) -> OutboxMail:
    return OutboxMail.objects.create(
        recipient="someone@example.com",
        kind="magic-link",
        subject="Hello",
        status=status,
        created_at=timezone.now() - timedelta(days=days_ago),
    )


def values(name: str, place: int = 0) -> dict[int, int]:
    """Days ago -> count of one series, without zeros."""
    (chart,) = [chart for chart in dashboard.context()["charts"] if chart.name == name]
    counts = reversed(chart.series[place].values)
    return {ago: count for ago, count in enumerate(counts) if count}


def numbers() -> dict[str, str]:
    return {card.label: card.number for card in dashboard.context()["cards"]}


def warned() -> list[str]:
    return [advice.title for advice in dashboard.context()["warnings"]]


# Cards


def test_the_cards_count_users_sessions_and_mail(make_user: MakeUser) -> None:
    people = [make_user(role) for role in ("owner", "viewer", "none", "none")]
    make_user("none", is_active=False)
    make_user("owner", setup_completed=False)
    later, earlier = (timezone.now() + timedelta(hours=hours) for hours in (1, -1))
    sessions = [(people[0], later), (people[1], later), (people[1], earlier), (None, later)]
    for number, (user, end) in enumerate(sessions):
        BrowserSession.objects.create(session_key=str(number), user=user, expire_date=end)
    for status in Status:
        mailed(status)

    assert numbers() == {
        "People": "5",
        "Waiting for access": "2",
        "Active sessions": "2",
        "Mail waiting": "3",
        "Failed mail": "1",
        "Bans in force": "0",
        "Health": "?",
    }


def test_the_card_of_waiting_users_links_to_their_list(
    as_role: SignIn, make_user: MakeUser
) -> None:
    browser, _administrator = as_role("owner")
    waiting = make_user("none")
    make_user("none", is_active=False)
    make_user("none", expires_at=timezone.now() - timedelta(days=1))

    (card,) = [card for card in dashboard.context()["cards"] if card.label == "Waiting for access"]

    assert list(browser.get(card.url).context["cl"].result_list) == [waiting]


def test_a_count_stops_at_its_cap(monkeypatch: pytest.MonkeyPatch, make_user: MakeUser) -> None:
    monkeypatch.setattr(parts, "COUNT_CAP", 2)
    for _ in range(2):
        make_user()
    assert numbers()["People"] == "2"

    make_user()

    assert numbers()["People"] == "2+"


# Tasks


def tasks() -> dict[str, str]:
    """Sentence -> the query of its list."""
    return {task.sentence: task.url.partition("?")[2] for task in dashboard.context()["tasks"]}


def test_a_calm_instance_has_no_tasks(owner: User) -> None:
    assert tasks() == {}


def test_the_tasks_count_what_waits_expires_or_is_unused(
    as_role: SignIn, make_user: MakeUser
) -> None:
    browser, administrator = as_role("owner")
    now, days = timezone.now(), lambda number: timedelta(days=number)
    User.objects.filter(pk=administrator.pk).update(keys_valid_from=now - days(400))
    make_user("none")
    unused, used = make_user("editor"), make_user("editor")
    User.objects.filter(pk=unused.pk).update(last_login=now - days(91))
    User.objects.filter(pk=used.pk).update(last_login=now - days(89))
    make_user("viewer", is_active=False, last_login=now - days(200))
    invite(actor=administrator, email="late@example.com", lifetime=days(1))
    invite(actor=administrator, email="early@example.com", lifetime=days(7))
    for name, changes in {
        "never used": {"created_at": now - days(91)},
        "long unused": {"created_at": now - days(300), "last_used_at": now - days(91)},
        "used": {"created_at": now - days(300), "last_used_at": now - days(89)},
        "new": {"created_at": now - days(89)},
        "revoked": {"created_at": now - days(300), "revoked_at": now},
        "expiring": {"expires_at": now + days(13)},
        "rotated": {"expires_at": now + days(13), "rotated_at": now},
        "later": {"expires_at": now + days(15)},
    }.items():
        ApiKey.objects.filter(pk=made(administrator, name).key.pk).update(**changes)

    assert tasks() == {
        "1 person waits for access": "state=no-access",
        "1 account has not been used for 90 days": "state=active&signed-in=longer",
        "1 invitation expires within two days": "state=expiring",
        "1 API key expires within 14 days": "look=expiring",
        "2 API keys have not been used for 90 days": "look=unused",
    }
    found = {
        query: [str(row) for row in browser.get(f"{path}?{query}").context["cl"].result_list]
        for path, query in (task.url.split("?") for task in dashboard.context()["tasks"])
    }
    assert {query: len(rows) for query, rows in found.items()} == {
        "state=no-access": 1,
        "state=active&signed-in=longer": 1,
        "state=expiring": 1,
        "look=expiring": 1,
        "look=unused": 2,
    }
    page = browser.get("/admin/").content.decode()
    assert '<a href="/admin/api/apikey/?look=unused">2 API keys have not been' in page


# Charts


def test_sign_ins_are_counted_by_day_and_result() -> None:
    for days_ago in (0, 0, 1, 29):
        happened("account:session:start", days_ago)
    happened("account:session:start", 1, result="refused")
    happened("account:session:start", 31)
    happened("account:session:end", 1)

    assert values("sign-ins") == {0: 2, 1: 1, 29: 1}
    assert values("sign-ins", 1) == {1: 1}


def test_links_are_counted_when_issued_and_when_used() -> None:
    for days_ago in (2, 2, 3):
        happened("link:login:issue", days_ago)
    happened("link:login:redeem", 2)
    happened("link:login:redeem", 2, result="refused")

    assert values("links") == {2: 2, 3: 1}
    assert values("links", 1) == {2: 1}


def test_new_users_are_counted_without_the_unfinished_owner(make_user: MakeUser) -> None:
    long_ago = timezone.now() - timedelta(days=31)
    make_user(created_at=timezone.now() - timedelta(days=5))
    make_user(created_at=long_ago)
    make_user("owner", setup_completed=False)

    assert values("new-users") == {5: 1}


def test_mail_is_counted_as_sent_or_failed() -> None:
    for status, days_ago in [
        (Status.SENT, 0),
        (Status.SENT, 4),
        (Status.DEAD, 4),
        (Status.QUEUED, 4),
        (Status.EXPIRED, 4),
        (Status.SENT, 40),
    ]:
        mailed(status, days_ago)

    assert values("mails") == {0: 1, 4: 1}
    assert values("mails", 1) == {4: 1}


def test_days_are_utc_days(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: noon)
    for moment in (
        datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 10, 0, 0, tzinfo=UTC),
    ):
        event = audit_log.record("account:session:start")
        AuditEvent.objects.filter(pk=event.pk).update(at=moment)

    with timezone.override("Pacific/Auckland"):
        assert values("sign-ins") == {0: 1, 1: 1}
        assert dashboard.context()["charts"][0].last_day == date(2026, 3, 10)


def test_the_number_of_queries_does_not_grow(as_role: SignIn, make_user: MakeUser) -> None:
    browser, _administrator = as_role("owner")

    def grow() -> None:
        user = make_user()
        event = audit_log.record("account:session:start", actor=user, target=user)
        OutboxMail.objects.create(recipient="a@example.com", kind="x", subject="x", status="sent")
        assert event.actor_id == user.pk

    grow()
    browser.get("/admin/")
    with CaptureQueriesContext(connection) as few:
        browser.get("/admin/")
    for _ in range(15):
        grow()
    with CaptureQueriesContext(connection) as many:
        browser.get("/admin/")

    assert len(many) == len(few) == 29


@pytest.mark.parametrize("is_failing", [False, True])
def test_the_page_asks_the_database_nothing_twice(as_role: SignIn, is_failing: bool) -> None:
    browser, _administrator = as_role("owner")
    if is_failing:
        mailed("dead")
        OutboxMail.objects.update(last_error="connection refused", attempts=99)
    browser.get("/admin/")

    with CaptureQueriesContext(connection) as asked:
        page = browser.get("/admin/").content.decode()

    # Without digits, because times differ by microseconds. The access policy is asked for the
    # session and for the admin, so it reads bans twice.
    shapes = [re.sub(r"\d", "", query["sql"]) for query in asked.captured_queries]
    shapes = [text for text in shapes if "FROM" in text and "moderation_ban" not in text]
    assert [text for text in shapes if shapes.count(text) > 1] == []
    assert ("Mail has been failing since" in page) == is_failing


def test_the_page_holds_charts_without_script_and_inline_style(as_role: SignIn) -> None:
    browser, _administrator = as_role("owner")

    page = browser.get("/admin/").content.decode()

    assert page.count("<svg viewBox=") == 5
    assert page.count("<desc id=") == 5
    assert page.count("<details>") == 5
    assert re.findall(r"<script|<style|\sstyle=|\son\w+=", page) == []
    assert "Signed in: 1." in page


def test_the_newest_ten_events_are_shown(as_role: SignIn, viewer: User) -> None:
    browser, administrator = as_role("owner")
    rows = [
        audit_log.record("account:user:edit", actor=administrator, target=viewer).seq
        for _ in range(11)
    ]

    events = browser.get("/admin/").context["events"]

    assert [event.row.seq for event in events] == rows[:0:-1]
    assert administrator.email in events[0].actor
    assert viewer.email in events[0].target


# Warnings


@pytest.fixture
def calm(settings: Any) -> Any:
    """Settings about which there is nothing to say."""
    settings.MAIL = MailSettings("smtp", "gate@example.com")
    settings.IS_HTTPS, settings.PUBLIC_URL_IS_LOCAL = True, False
    settings.PUBLIC_URL = "https://gate.example.com"
    settings.ALLOW_REGISTRATION = False
    return settings


def test_a_well_configured_instance_has_no_warning(calm: Any, owner: User) -> None:
    assert warned() == []


def test_a_missing_mail_service_is_a_warning(calm: Any, owner: User) -> None:
    calm.MAIL = MailSettings()

    assert warned() == ["No mail service is set."]


@pytest.mark.parametrize(
    ("is_https", "is_local", "titles"),
    [
        (False, False, ["This server is used without HTTPS."]),
        (False, True, []),
        (True, False, []),
    ],
)
def test_plain_http_over_a_network_is_a_warning(
    calm: Any, owner: User, is_https: bool, is_local: bool, titles: list[str]
) -> None:
    calm.IS_HTTPS, calm.PUBLIC_URL_IS_LOCAL = is_https, is_local

    assert warned() == titles


def test_an_unfinished_owner_is_a_warning(calm: Any, make_user: MakeUser) -> None:
    make_user("owner", setup_completed=False)

    assert warned() == ["The first owner account has not been set up."]


def test_open_registration_is_a_warning_with_its_role(calm: Any, owner: User) -> None:
    calm.ALLOW_REGISTRATION, calm.DEFAULT_ROLE, calm.ALLOWED_EMAILS = True, "editor", ()

    (advice,) = dashboard.context()["warnings"]

    assert advice.title == "Registration is open."
    assert advice.text.startswith("Anyone may create an account with the role “Editor”.")


def test_the_warning_about_open_registration_names_the_allow_list(calm: Any, owner: User) -> None:
    calm.ALLOW_REGISTRATION, calm.ALLOWED_EMAILS = True, ("*@example.com",)

    (advice,) = dashboard.context()["warnings"]

    assert advice.text.startswith("Anyone whose address matches ALLOWED_EMAILS may")


# Bars


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (5, 6), (9, 10), (11, 20), (41, 60), (100, 100), (101, 200)],
)
def test_the_upper_edge_is_round_and_has_a_whole_half(value: int, top: int) -> None:
    assert round_up(value) == top


def test_bars_fill_their_day_and_stay_inside_the_plot() -> None:
    days = (date(2026, 1, 1), date(2026, 1, 2))
    chart = Chart("c", "C", days, (Series("one", "good", (4, 0)), Series("two", "bad", (1, 2))))

    first, second = chart.slots()

    assert (first.x, first.width, second.x) == ("0", "300", "300")
    assert [(bar.tone, bar.x, bar.y, bar.width, bar.height) for bar in first.bars] == [
        ("good", "42", "0", "108", str(HEIGHT)),
        ("bad", "150", "90", "108", "30"),
    ]
    assert [bar.tone for bar in second.bars] == ["bad"]
    assert second.counts == (("one", 0), ("two", 2))
    assert WIDTH == 600


def test_days_without_an_event_count_nothing() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2)]

    assert by_day(days, {date(2026, 1, 2): 3}) == (0, 3)


def test_no_page_is_listed_twice_in_the_header(as_role: SignIn) -> None:
    browser, _owner = as_role("owner")
    page = browser.get("/admin/").content.decode()
    found = re.findall(r'href="([^"]+)"', page.partition("<nav")[2].partition("</nav>")[0])

    assert len(found) > 10
    assert sorted(set(found)) == sorted(found)
