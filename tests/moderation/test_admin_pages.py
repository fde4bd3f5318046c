"""The tables of violations and bans in the admin: permissions, filters, search, pages."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admin.dashboard import content as dashboard
from accounts.models import User
from audit.models import AuditEvent
from moderation.models import Ban, Violation
from tests.conftest import messages_of
from tests.moderation.history import banned, violated

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
BrowserOf = Callable[..., Client]
BANS, VIOLATIONS = "/admin/moderation/ban/", "/admin/moderation/violation/"
REPLAY = f"{BANS}replay/"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    """The browser of an owner."""
    return browser_of(owner)


def shown(panel: Client, address: str) -> list[Any]:
    """The rows of a list, newest first."""
    answer = panel.get(address)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def page_of(row: Ban | Violation) -> str:
    return f"{BANS if isinstance(row, Ban) else VIOLATIONS}{row.pk}/change/"


# Who may


@pytest.mark.parametrize("address", [BANS, VIOLATIONS, REPLAY, f"{BANS}add/"])
def test_only_administrators_open_the_pages(
    address: str, stranger: Client, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    statuses = {
        role: browser_of(make_user(role)).get(address).status_code
        for role in ("viewer", "editor", "admin", "owner")
    }

    assert statuses == {"viewer": 403, "editor": 403, "admin": 200, "owner": 200}
    assert stranger.get(address)["location"] == f"/sign-in?next={address}"


@pytest.mark.parametrize("address", [f"{VIOLATIONS}add/", f"{VIOLATIONS}%s/delete/"])
def test_violations_cannot_be_added_or_deleted(panel: Client, address: str) -> None:
    row = violated(timezone.now())

    assert panel.post(address.replace("%s", str(row.pk)), {"post": "yes"}).status_code == 403
    assert Violation.objects.filter(pk=row.pk).exists()


def test_a_ban_cannot_be_edited_or_deleted(panel: Client) -> None:
    row = banned(network="203.0.113.7", since=timezone.now())

    assert panel.post(page_of(row), {"reason": "x"}).status_code == 403
    assert panel.post(f"{BANS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Ban.objects.get().reason == "Too many failed sign-ins."


# The tables


def test_a_violation_shows_type_user_score_total_and_ban(panel: Client, viewer: User) -> None:
    now = timezone.now()
    ban = banned(user=viewer, network="203.0.113.7", since=now)
    violated(now, user=viewer, score=20.5, ban=ban)

    page = panel.get(VIOLATIONS).content.decode()

    assert f'<a href="/admin/accounts/user/{viewer.pk}/change/">viewer@example.com</a>' in page
    assert f'<a href="{page_of(ban)}"><span class="badge badge-bad">In force</span></a>' in page
    assert page.count(' class="field-worth">20.5</td>') == 1
    assert page.count(' class="field-total">20.5</td>') == 1
    assert "Sign-in" in page
    assert "7 in 5m" in page


def test_violations_are_filtered_by_type_day_and_ban(panel: Client, viewer: User) -> None:
    now = timezone.now()
    old = violated(now - 40 * DAY, user=viewer, kind="upload")
    week = violated(now - 3 * DAY, user=viewer)
    ban = banned(user=viewer, since=now)
    last = violated(now, user=viewer, ban=ban)

    assert shown(panel, VIOLATIONS) == [last, week, old]
    assert shown(panel, f"{VIOLATIONS}?type=upload") == [old]
    assert shown(panel, f"{VIOLATIONS}?type=login") == [last, week]
    assert shown(panel, f"{VIOLATIONS}?ban=yes") == [last]
    assert shown(panel, f"{VIOLATIONS}?ban=no") == [week, old]
    assert shown(panel, f"{VIOLATIONS}?at=7") == [last, week]
    assert shown(panel, f"{VIOLATIONS}?type=login&ban=no&at=30") == [week]


def test_the_filter_names_every_type_that_is_stored(panel: Client) -> None:
    for kind in ("upload", "login", "upload", "message"):
        violated(timezone.now(), kind=kind)

    # Beside the list; in narrow windows, a menu has the same.
    page = panel.get(VIOLATIONS).content.decode().split('id="changelist-filter"')[1]

    assert re.findall(r'href="\?type=(\w+)">([^<]+)<', page) == [
        ("login", "Sign-in"),
        ("message", "Messages"),
        ("upload", "upload"),
    ]


@pytest.mark.parametrize("address", [VIOLATIONS, BANS])
def test_the_search_finds_users_networks_and_ids(
    panel: Client, viewer: User, editor: User, address: str
) -> None:
    now = timezone.now()
    rows: list[Any] = []
    for user, network in ((viewer, "203.0.113.7"), (editor, "2001:db8::/64"), (None, "192.0.2.1")):
        ban = banned(user=user, network=network, since=now)
        rows.append(violated(now, user=user, network=network) if address == VIOLATIONS else ban)
    of_viewer, of_editor, of_network = rows

    assert shown(panel, f"{address}?q=viewer@example.com") == [of_viewer]
    assert shown(panel, f"{address}?q=edgar") == [of_editor]
    assert shown(panel, f"{address}?q={viewer.pk}") == [of_viewer]
    assert shown(panel, f"{address}?q={of_network.pk}") == [of_network]
    assert shown(panel, f"{address}?q=192.0.2.1") == [of_network]
    assert shown(panel, f"{address}?q=2001:db8::1234") == [of_editor]
    assert shown(panel, f"{address}?q=2001:db8::/64") == [of_editor]
    assert shown(panel, f"{address}?q=nobody") == []


def test_bans_are_filtered_by_state_and_kind(panel: Client, viewer: User, editor: User) -> None:
    now = timezone.now()
    over = banned(user=viewer, since=now - DAY)
    lifted = banned(user=viewer, since=now, lifted_at=now)
    active = banned(network="203.0.113.7", since=now)
    for_ever = banned(user=editor, since=now, lasts=None, kind="manual")

    assert shown(panel, f"{BANS}?state=active") == [for_ever, active]
    assert shown(panel, f"{BANS}?state=lifted") == [lifted]
    assert shown(panel, f"{BANS}?state=over") == [over]
    assert shown(panel, f"{BANS}?kind=manual") == [for_ever]
    assert shown(panel, f"{BANS}?kind=automatic&state=active") == [active]
    page = panel.get(BANS).content.decode()
    badges = re.findall(r'field-state_cell"><span class="badge[^>]*>([^<]+)<', page)
    assert badges == ["In force", "In force", "Lifted", "Expired"]


@pytest.mark.parametrize("address", [VIOLATIONS, BANS])
def test_no_other_column_can_be_filtered(panel: Client, viewer: User, address: str) -> None:
    assert panel.get(f"{address}?user__password__startswith=argon2").status_code == 400


@pytest.mark.parametrize("address", [VIOLATIONS, BANS])
def test_a_longer_list_needs_no_more_queries(
    panel: Client, make_user: MakeUser, address: str
) -> None:
    def grow(count: int) -> None:
        for _ in range(count):
            user = make_user()
            ban = banned(user=user, since=timezone.now())
            violated(timezone.now(), user=user, ban=ban)

    grow(1)
    panel.get(address)
    with CaptureQueriesContext(connection) as few:
        panel.get(address)
    grow(8)
    with CaptureQueriesContext(connection) as many:
        panel.get(address)

    assert len(few) == len(many)


def test_the_page_of_a_violation_shows_its_detail_escaped(panel: Client) -> None:
    row = violated(timezone.now(), kind="<b>x</b>", detail={"room": "<script>alert(1)</script>"})

    page = panel.get(page_of(row)).content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<b>x</b>" not in panel.get(VIOLATIONS).content.decode()


# The page of a ban


def test_the_page_of_a_ban_explains_it(panel: Client, viewer: User) -> None:
    now = timezone.now()
    violated(now - 2 * DAY, user=viewer, score=8)
    violated(now - DAY, user=viewer, score=8, kind="message")
    ban = banned(user=viewer, network="203.0.113.7", since=now)
    violated(now, user=viewer, score=15, ban=ban)

    answer = panel.get(page_of(ban))

    rows = [(row["type"], row["score"], row["worth"]) for row in answer.context["rows"]]
    assert rows == [("Sign-in", "8", "2"), ("Messages", "8", "4"), ("Sign-in", "15", "15")]
    page = answer.content.decode()
    assert "The total was <strong>21</strong> when the ban began." in page
    assert '<tfoot><tr><th scope="row" colspan="5">Sum</th><td class="number">21</td>' in page
    assert page.count("<svg viewBox=") == 1
    assert page.count("<title id=") == page.count("<desc id=") == 1
    assert "a ban falls at 20" in page
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []


def test_numbers_of_the_chart_use_a_point_in_german(panel: Client, viewer: User) -> None:
    now = timezone.now()
    violated(now - HOUR, user=viewer, score=7.5)
    ban = banned(user=viewer, since=now)
    violated(now, user=viewer, score=15.5, ban=ban)

    page = panel.get(page_of(ban), headers={"accept-language": "de"}).content.decode()

    (line,) = re.findall(r'class="curve-line" d="([^"]+)"', page)
    assert re.fullmatch(r"M(\d+(\.\d+)? \d+(\.\d+)?L?)+", line)
    assert '<td class="number">7,5</td>' in page


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("manual", "An administrator issued it; no violations were counted for it."),
        ("automatic", "The violations that led to it are no longer stored."),
    ],
)
def test_a_ban_without_violations_says_so(panel: Client, kind: str, sentence: str) -> None:
    ban = banned(network="203.0.113.7", since=timezone.now(), kind=kind)

    page = panel.get(page_of(ban)).content.decode()

    assert sentence in page
    assert "<svg viewBox=" not in page


def test_other_bans_in_force_of_the_same_network_are_named(panel: Client, viewer: User) -> None:
    now = timezone.now()
    ban = banned(user=viewer, network="203.0.113.7", since=now)
    other = banned(network="203.0.113.7", since=now)
    banned(network="203.0.113.7", since=now - DAY)
    banned(network="198.51.100.9", since=now)

    mine = banned(user=viewer, since=now)

    answer = panel.get(page_of(ban))

    assert [link for link, _end in answer.context["others"]] == [
        f'<a href="{page_of(mine)}">viewer@example.com</a>',
        f'<a href="{page_of(other)}">203.0.113.7</a>',
    ]
    assert answer.context["subtitle"] == "viewer@example.com · 203.0.113.7"


def test_a_button_lifts_a_ban(panel: Client, owner: User, viewer: User) -> None:
    ban = banned(user=viewer, network="203.0.113.7", since=timezone.now())
    assert f'action="{BANS}{ban.pk}/lift/"' in panel.get(page_of(ban)).content.decode()

    answer = panel.post(f"{BANS}{ban.pk}/lift/", follow=True)

    ban.refresh_from_db()
    assert (ban.state(timezone.now()), ban.lifted_by) == ("lifted", owner.pk)
    assert messages_of(answer) == ["The ban is lifted."]
    page = answer.content.decode()
    assert f"{BANS}{ban.pk}/lift/" not in page
    told = {
        name: re.sub(r"<[^>]+>|\s+", " ", text).split()
        for name, text in re.findall(r'field-(author|lifted)">(.*?)</div>\s*</div>', page, re.S)
    }
    assert (told["author"], told["lifted"][-1]) == (["By:", "system"], owner.email)
    assert AuditEvent.objects.filter(action="moderation:ban:lift", target_id=viewer.pk).count() == 1


def test_a_ban_is_lifted_by_post_alone_and_once(panel: Client) -> None:
    ban = banned(network="203.0.113.7", since=timezone.now())
    address = f"{BANS}{ban.pk}/lift/"

    assert panel.get(address).status_code == 405
    panel.post(address)
    answer = panel.post(address, follow=True)

    assert "This ban is not in force any more." in answer.content.decode()
    assert panel.post(f"{BANS}{Violation().pk}/lift/").status_code == 404


def test_an_admin_neither_sees_nor_reaches_the_button_for_a_higher_rank(
    owner: User, admin: User, browser_of: BrowserOf
) -> None:
    panel = browser_of(admin)
    ban = banned(user=owner, since=timezone.now())

    assert "/lift/" not in panel.get(page_of(ban)).content.decode()
    panel.post(f"{BANS}{ban.pk}/lift/")

    ban.refresh_from_db()
    assert ban.state(timezone.now()) == "active"


def test_selected_bans_are_lifted_and_skipped_ones_reported(
    owner: User, admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    panel, now = browser_of(admin), timezone.now()
    mine = banned(user=viewer, since=now)
    place = banned(network="203.0.113.7", since=now)
    higher = banned(user=owner, since=now)
    over = banned(user=viewer, since=now - DAY)
    ticked = [str(row.pk) for row in (mine, place, higher, over)]

    answer = panel.post(
        BANS, {"action": "lift_chosen", "_selected_action": ticked, "index": "0"}, follow=True
    )

    assert messages_of(answer) == [
        "2 bans are lifted.",
        "Skipped 1: not in force any more",
        "Skipped 1: You may only manage people whose role is below your own.",
    ]
    states = {row.pk: row.state(now) for row in Ban.objects.all()}
    assert states == {mine.pk: "lifted", place.pk: "lifted", higher.pk: "active", over.pk: "over"}


# To ban


def test_a_network_is_banned_from_its_page(panel: Client, owner: User) -> None:
    typed = {"user": "", "network": "2001:db8::7", "duration": "24h", "reason": "A flood."}

    answer = panel.post(f"{BANS}add/", typed)

    ban = Ban.objects.get()
    assert answer["location"] == page_of(ban)
    assert (ban.user, ban.network, ban.reason) == (None, "2001:db8::/64", "A flood.")
    assert ban.until == ban.created_at + DAY
    assert ban.created_by == owner.pk


def test_user_and_network_are_one_ban(panel: Client, viewer: User) -> None:
    typed = {"user": "vera", "network": "203.0.113.7", "duration": "lifted", "reason": "Rude."}

    panel.post(f"{BANS}add/", typed)

    ban = Ban.objects.get()
    assert (ban.user, ban.network, ban.until) == (viewer, "203.0.113.7", None)


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({}, "user", "Choose what to ban: a person, a network, or both."),
        ({"user": "nobody"}, "user", "No account has this address or user name."),
        ({"user": "owner@example.com"}, "user", "You cannot ban yourself."),
        (
            {"network": "everywhere"},
            "network",
            "Enter one address, such as 203.0.113.7 or 2001:db8::1.",
        ),
        ({"network": "127.0.0.1"}, "network", "This network cannot be banned."),
        ({"network": "203.0.113.7", "reason": ""}, "reason", "This field is required."),
        (
            {"network": "203.0.113.7", "duration": "8d"},
            "duration",
            "Select a valid choice. 8d is not one of the available choices.",
        ),
    ],
)
def test_errors_are_shown_beside_their_fields(
    panel: Client, typed: dict[str, str], field: str, sentence: str
) -> None:
    answer = panel.post(f"{BANS}add/", {"duration": "1h", "reason": "Rude."} | typed)

    assert answer.context["form"].errors == {field: [sentence]}
    assert sentence.replace("'", "&#x27;") in answer.content.decode()
    assert not Ban.objects.exists()


def test_an_admin_cannot_ban_an_owner_from_the_page(
    owner: User, admin: User, browser_of: BrowserOf
) -> None:
    typed = {"user": owner.email, "network": "", "duration": "1h", "reason": "Rude."}

    answer = browser_of(admin).post(f"{BANS}add/", typed)

    assert answer.context["form"].non_field_errors() == [
        "You may only manage people whose role is below your own."
    ]
    assert not Ban.objects.exists()


# What if


def test_the_simulation_starts_with_current_values_and_no_result(
    panel: Client, settings: Any
) -> None:
    settings.BAN_INTERVAL, settings.MODERATION_SCORE_HALF_LIFE = 12.5, timedelta(hours=36)
    violated(timezone.now(), kind="upload")

    answer = panel.get(REPLAY)

    page = answer.content.decode()
    assert answer.context["result"] is None
    for name, value in (("days", "30"), ("interval", "12.5"), ("half_life", "36")):
        assert re.search(rf'name="{name}" value="{re.escape(value)}"', page)
    assert 'name="score-upload"' in page


def test_the_simulation_shows_who_would_have_been_banned(
    panel: Client, viewer: User, editor: User
) -> None:
    now = timezone.now()
    for _ in range(3):
        violated(now - HOUR, user=viewer, score=4)
    violated(now - HOUR, user=editor, score=25, ban=banned(user=editor, since=now - HOUR))
    User.objects.filter(pk=viewer.pk).update(last_login=now)

    answer = panel.get(f"{REPLAY}?days=7&interval=10&half_life=0&score-login=")

    result = answer.context["result"]
    assert [
        (row["who"], row["events"], row["highest"]) == expected
        for row, expected in zip(
            result["rows"],
            [
                (f'<a href="/admin/accounts/user/{viewer.pk}/change/">{viewer.email}</a>', 3, "12"),
                (f'<a href="/admin/accounts/user/{editor.pk}/change/">{editor.email}</a>', 1, "25"),
            ],
            strict=True,
        )
    ] == [True, True]
    assert [re.sub("<[^>]+>", "", row["change"]) for row in result["rows"]] == [
        "newly banned",
        "banned in both",
    ]
    replayed = result["replay"]
    assert (replayed.would, replayed.was, replayed.good) == (2, 1, 1)
    assert [re.sub("<[^>]+>", "", row["good"]) for row in result["rows"]] == ["just now", ""]


def test_the_simulation_names_a_network_by_its_address(panel: Client) -> None:
    violated(timezone.now(), network="2001:db8::/64", score=25)

    answer = panel.get(f"{REPLAY}?days=7&interval=10&half_life=0&score-login=")

    assert [row["who"] for row in answer.context["result"]["rows"]] == ["2001:db8::/64"]


def test_the_simulation_accepts_scores_by_type(panel: Client, viewer: User) -> None:
    violated(timezone.now(), user=viewer, kind="upload", score=1)
    address = f"{REPLAY}?days=7&interval=10&half_life=0&score-upload="

    assert panel.get(f"{address}10").context["result"]["replay"].would == 1
    assert panel.get(address).context["result"]["replay"].would == 0
    page = panel.get(address).content.decode()
    assert "No one was banned, and no one would have been." in page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("days=91&interval=10&half_life=0", "days"),
        ("days=0&interval=10&half_life=0", "days"),
        ("days=7&interval=0&half_life=0", "interval"),
        ("days=7&interval=-5&half_life=0", "interval"),
        ("days=7&interval=nan&half_life=0", "interval"),
        ("days=7&interval=10&half_life=-1", "half_life"),
        ("days=7&interval=10&half_life=1e300", "half_life"),
        ("days=7&interval=10&half_life=", "half_life"),
        ("days=7&interval=10&half_life=0&score-login=-1", "score-login"),
        ("days=7&interval=10&half_life=0&score-login=many", "score-login"),
    ],
)
def test_the_simulation_rejects_invalid_values(panel: Client, query: str, field: str) -> None:
    violated(timezone.now())

    answer = panel.get(f"{REPLAY}?{query}")

    assert (answer.status_code, answer.context["result"]) == (200, None)
    assert list(answer.context["form"].errors) == [field]


def test_the_simulation_changes_nothing_and_accepts_no_post(panel: Client, viewer: User) -> None:
    violated(timezone.now(), user=viewer, score=25)
    before = AuditEvent.objects.count()

    assert panel.post(REPLAY, {"days": "7"}).status_code == 405
    panel.get(f"{REPLAY}?days=7&interval=1&half_life=0")

    assert (Ban.objects.count(), AuditEvent.objects.count()) == (0, before)


# The dashboard


def test_the_card_counts_bans_in_force(panel: Client, viewer: User) -> None:
    now = timezone.now()
    for row in ({"user": viewer, "lasts": None}, {"network": "203.0.113.7"}):
        banned(since=now, **row)  # type: ignore[arg-type]
    banned(network="203.0.113.8", since=now - DAY)
    banned(network="203.0.113.9", since=now, lifted_at=now)

    (card,) = [card for card in dashboard.context()["cards"] if card.label == "Bans in force"]

    assert card.number == "2"
    assert len(shown(panel, card.url)) == 2


def test_the_chart_shows_the_most_frequent_types_and_the_rest(owner: User) -> None:
    now = timezone.now()
    for kind, count in (("login", 5), ("message", 4), ("upload", 3), ("api", 2), ("x", 1)):
        for number in range(count):
            violated(now - number * DAY, kind=kind)
    violated(now - 31 * DAY, kind="login")

    (chart,) = [chart for chart in dashboard.context()["charts"] if chart.name == "violations"]

    assert [(one.label, one.tone, one.total) for one in chart.series] == [
        ("Sign-in", "bad", 5),
        ("Messages", "warn", 4),
        ("upload", "good", 3),
        ("other types", "plain", 3),
    ]
    assert [one.values[-3:] for one in chart.series] == [(1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 1, 2)]


def test_without_violations_the_chart_is_empty(panel: Client) -> None:
    (chart,) = [chart for chart in dashboard.context()["charts"] if chart.name == "violations"]

    assert [(one.label, one.total) for one in chart.series] == [("violations", 0)]
    assert panel.get("/admin/").status_code == 200


def test_the_overview_links_to_both_tables(panel: Client) -> None:
    page = panel.get("/admin/moderation/").content.decode()

    assert f'href="{BANS}"' in page
    assert f'href="{VIOLATIONS}"' in page
