"""Times are shown in the zone of their reader, with UTC beside them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import DateTimeField
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils import timezone, translation

from accounts.admin.site import site
from accounts.models import User
from accounts.services.privacy import export_own_data
from accounts.services.users import Profile, edit_profile
from audit.models import AuditEvent
from core.errors import RecordInvalid
from core.text.time_display import exact_moment, moment_html, spoken_moment
from core.text.time_spans import SINCE, UNTIL
from core.text.time_zones import zone_names, zone_of
from mail.outbox import draft_mail
from tests.conftest import text_of

NOW = datetime(2026, 11, 28, 13, 55, tzinfo=UTC)
BrowserOf = Callable[[User], Client]


@pytest.fixture
def _in_berlin() -> Iterator[None]:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        yield


@pytest.mark.usefixtures("_in_berlin")
@pytest.mark.parametrize(
    ("shape", "text", "title"),
    [
        ("ago", "2 hours ago", "Nov. 28, 2026, 12:55 CET · 2026-11-28 11:55 UTC"),
        ("exact", "Nov. 28, 2026, 12:55 CET", "2 hours ago · 2026-11-28 11:55 UTC"),
        ("day", "Nov. 28, 2026", "2 hours ago · 2026-11-28 11:55 UTC"),
    ],
)
def test_a_time_has_utc_for_machines_and_in_its_tooltip(shape: str, text: str, title: str) -> None:
    shown = moment_html(NOW - timedelta(hours=2), NOW, shape)

    assert shown.replace("\xa0", " ") == (
        f'<time datetime="2026-11-28T11:55:00+00:00" title="{title}">{text}</time>'
    )


def test_a_future_time_says_in_how_long() -> None:
    assert spoken_moment(NOW + timedelta(days=3), NOW).replace("\xa0", " ") == "in 3 days"


def test_a_zone_without_an_abbreviation_shows_its_offset() -> None:
    with timezone.override(ZoneInfo("America/Sao_Paulo")):
        assert exact_moment(NOW) == "Nov. 28, 2026, 10:55 UTC-03"


def test_the_language_decides_how_a_date_is_written() -> None:
    with translation.override("de"), timezone.override(ZoneInfo("Europe/Berlin")):
        assert exact_moment(NOW) == "28. November 2026, 14:55 CET"


def test_the_tag_shows_what_is_given_where_there_is_no_time() -> None:
    template = Template('{% load time_display %}{% moment at empty="never" %}')

    assert template.render(Context({"at": None})) == "never"


def test_the_tag_can_stand_in_a_sentence() -> None:
    template = Template(
        "{% load i18n time_display %}{% moment at as when %}"
        "{% blocktranslate %}used {{ when }}{% endblocktranslate %}"
    )

    assert "used <time datetime=" in template.render(Context({"at": timezone.now()}))


def test_names_of_old_systems_are_not_offered() -> None:
    assert "Europe/Berlin" in zone_names()
    assert zone_names()[0] == "UTC"
    assert not {"US/Eastern", "Etc/GMT+5", "localtime", "Cuba"} & set(zone_names())


@pytest.mark.parametrize("name", ["", "Europe/Atlantis", "../etc/passwd", "a\0b"])
def test_an_unknown_zone_is_that_of_the_server(name: str) -> None:
    assert zone_of(name) is timezone.get_default_timezone()


# The zone of a user


@pytest.mark.django_db
def test_a_user_chooses_a_zone_on_the_account_page(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)

    typed = {"name": viewer.name, "username": "", "time_zone": "Asia/Kathmandu"}
    saved = browser.post("/account/", typed)

    viewer.refresh_from_db()
    assert saved.status_code == 303
    assert viewer.time_zone == "Asia/Kathmandu"
    edit = AuditEvent.objects.get(action="account:user:edit")
    assert edit.detail["fields"] == ["name", "time_zone", "username"]
    page = browser.get("/account/").content.decode()
    assert '<option value="Asia/Kathmandu" selected>Kathmandu</option>' in page
    # Nepal is at UTC+5:45: the device was signed in on that day.
    assert export_own_data(viewer)["account"]["time_zone"] == "Asia/Kathmandu"


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["Europe/Atlantis", "US/Eastern", "Europe/Berlin\n"])
def test_a_zone_that_is_not_offered_is_refused(
    viewer: User, browser_of: BrowserOf, zone: str
) -> None:
    page = browser_of(viewer).post("/account/", {"name": "New", "time_zone": zone})

    viewer.refresh_from_db()
    assert page.status_code == 400
    assert "time_zone" in page.context["form"].errors
    assert (viewer.name == "New", viewer.time_zone) == (False, "")


@pytest.mark.django_db
def test_the_service_refuses_an_unknown_zone(viewer: User) -> None:
    with pytest.raises(RecordInvalid) as caught:
        edit_profile(actor=viewer, user=viewer, profile=Profile(time_zone="Europe/Atlantis"))

    assert list(caught.value.errors) == ["time_zone"]


@pytest.mark.django_db
def test_pages_are_in_the_zone_of_their_reader(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    event = AuditEvent.objects.order_by("-seq").first()
    assert event is not None
    path = f"/admin/audit/auditevent/{event.pk}/change/"
    at = event.at.astimezone(ZoneInfo("Asia/Kathmandu"))

    before = browser.get(path).content.decode()
    User.objects.update(time_zone="Asia/Kathmandu")
    after = browser.get(path).content.decode()

    assert f"{event.at:%H:%M} UTC</time>" in before
    assert f"{at:%H:%M} UTC+0545</time>" in after
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.django_db
def test_a_mail_is_in_the_zone_of_its_recipient(viewer: User) -> None:
    texts = {}
    for zone in ("", "Asia/Kathmandu"):
        viewer.time_zone = zone
        mail = draft_mail(
            kind="reset-password",
            recipient=viewer.email,
            user=viewer,
            context={"url": "https://x.example/1", "expires_at": timezone.now(), "name": "Vera"},
        )
        texts[zone] = text_of(mail)

    assert " UTC)" in texts[""]
    assert " UTC+0545)" in texts["Asia/Kathmandu"]


# No table shows a time in another way


@pytest.mark.django_db
@pytest.mark.parametrize("table", site._registry.values(), ids=str)
def test_tables_show_times_as_every_page_does(table: Any, owner: User, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = owner
    times = {field.name for field in table.opts.fields if isinstance(field, DateTimeField)}
    fields = set(flatten_fieldsets(table.get_fieldsets(request, table.model())))
    if table.has_change_permission(request):
        # Those that are typed.
        fields -= set(table.get_form(request, table.model()).base_fields)
    names = {*table.get_list_display(request), *(name for name in fields if isinstance(name, str))}

    assert not {name for name in names & times if not hasattr(type(table), name)}


@pytest.mark.parametrize(
    ("span", "until", "since"),
    [
        (timedelta(seconds=59), "just now", "just now"),
        (timedelta(minutes=1), "in 1 minute", "1 minute ago"),
        (timedelta(minutes=59), "in 59 minutes", "59 minutes ago"),
        (timedelta(hours=1), "in 1 hour", "1 hour ago"),
        (timedelta(hours=47), "in 1 day", "1 day ago"),
        (timedelta(days=6), "in 6 days", "6 days ago"),
        (timedelta(days=7), "in 1 week", "1 week ago"),
        (timedelta(days=28), "in 4 weeks", "4 weeks ago"),
        (timedelta(days=31), "in 1 month", "1 month ago"),
        (timedelta(days=95), "in 3 months", "3 months ago"),
        (timedelta(days=365), "in 1 year", "1 year ago"),
        (timedelta(days=800), "in 2 years", "2 years ago"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(span: timedelta, until: str, since: str) -> None:
    assert spoken_moment(NOW + span, NOW).replace("\xa0", " ") == until
    assert spoken_moment(NOW - span, NOW).replace("\xa0", " ") == since


def test_only_the_number_and_its_unit_stay_on_one_line() -> None:
    assert spoken_moment(NOW + timedelta(days=28), NOW) == "in 4\xa0weeks"
    assert spoken_moment(NOW - timedelta(days=28), NOW) == "4\xa0weeks ago"


def test_each_unit_and_direction_is_a_text_of_its_own() -> None:
    """Put together from a span and "ago", German says "vor 2 Tage"."""
    texts = [str(text % {"num": 3}) for text in (*UNTIL.values(), *SINCE.values())]

    assert list(UNTIL) == list(SINCE) == ["year", "month", "week", "day", "hour", "minute"]
    assert len(set(texts)) == 12
    assert all("3" in text and len(text.split()) == 3 for text in texts)


@pytest.mark.parametrize(
    ("span", "until", "since"),
    [
        (timedelta(days=1), "in 1 Tag", "vor 1 Tag"),
        (timedelta(days=2), "in 2 Tagen", "vor 2 Tagen"),
        (timedelta(days=28), "in 4 Wochen", "vor 4 Wochen"),
        (timedelta(days=95), "in 3 Monaten", "vor 3 Monaten"),
        (timedelta(days=800), "in 2 Jahren", "vor 2 Jahren"),
    ],
)
def test_german_spans_stand_in_the_dative(span: timedelta, until: str, since: str) -> None:
    with translation.override("de"):
        assert spoken_moment(NOW + span, NOW).replace("\xa0", " ") == until
        assert spoken_moment(NOW - span, NOW).replace("\xa0", " ") == since
