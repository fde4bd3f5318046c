"""Links issued by administrators: the admin action, the table of links, the command."""

import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM, Actor
from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from magiclinks.models import LoginLink
from magiclinks.services import issue_link, withdraw_link

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/user/"


def fetch(client: Client, *people: User, **fields: str) -> object:
    chosen = [str(user.pk) for user in people]
    return client.post(LIST, {"action": "get_login_url", "_selected_action": chosen, **fields})


def urls_in(answer: object) -> list[str]:
    return re.findall(r'value="http://localhost:8000(/magic-link/[^"]+)"', answer.content.decode())  # type: ignore[attr-defined]


def test_an_owner_gets_a_link_that_signs_in_another_user(
    owner: User, viewer: User, stranger: Client, browser_of: Callable[[User], Client]
) -> None:
    answer = fetch(browser_of(owner), viewer)

    (path,) = urls_in(answer)
    assert "no-store" in answer["Cache-Control"]
    assert "Ends in 1 hour (" in answer.content.decode()
    assert stranger.get(path).status_code == 200
    assert stranger.post(path).status_code == 302
    assert stranger.get("/account/").status_code == 200
    event = AuditEvent.objects.get(action="link:login:issue")
    assert (event.actor_id, event.target_id) == (owner.pk, viewer.pk)


def test_a_second_link_replaces_the_first_and_says_so(
    owner: User, viewer: User, stranger: Client, browser_of: Callable[[User], Client]
) -> None:
    panel = browser_of(owner)
    (first,) = urls_in(fetch(panel, viewer))

    answer = fetch(panel, viewer)

    (second,) = urls_in(answer)
    assert "The older link of this account no longer works." in answer.content.decode()
    assert stranger.post(first)["Location"] == "/sign-in?notice=link-replaced"
    assert stranger.post(second).status_code == 302


def test_the_link_is_shown_exactly_once(
    owner: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    panel = browser_of(owner)
    (path,) = urls_in(fetch(panel, viewer))
    token = path.rpartition("/")[2]

    pages = [LIST, "/admin/", "/admin/magiclinks/loginlink/", f"{LIST}{viewer.pk}/change/"]
    shown = b"".join(panel.get(page).content for page in pages)

    assert token.encode() not in shown
    assert token not in str(list(owner.sessions.values()))


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), (None, 302)])
def test_only_administrators_get_links_for_others(
    make_user: Callable[..., User],
    viewer: User,
    stranger: Client,
    browser_of: Callable[[User], Client],
    role: str | None,
    status: int,
) -> None:
    client = browser_of(make_user(role)) if role else stranger

    assert fetch(client, viewer).status_code == status
    assert LoginLink.objects.count() == 0


def test_a019_an_admin_gets_links_for_lower_ranks_only(
    admin: User,
    owner: User,
    viewer: User,
    make_user: Callable[..., User],
    browser_of: Callable[[User], Client],
) -> None:
    other_admin = make_user("admin", "other@example.com")
    disabled = make_user("viewer", "disabled@example.com", is_active=False)

    answer = fetch(browser_of(admin), owner, other_admin, viewer, disabled)

    assert len(urls_in(answer)) == 1
    assert list(LoginLink.objects.values_list("user_id", flat=True)) == [viewer.pk]
    page = answer.content.decode()
    assert "owner@example.com: You may only manage people whose role is below your own." in page
    assert "disabled@example.com: This account is disabled. Ask an administrator." in page


def test_a019_the_number_of_selected_users_is_limited(
    owner: User, make_user: Callable[..., User], browser_of: Callable[[User], Client]
) -> None:
    people = [make_user("viewer", f"p{number}@example.com", None) for number in range(105)]

    answer = fetch(browser_of(owner), *people)

    assert LoginLink.objects.count() == len(urls_in(answer)) == 100
    assert "At most 100 at a time" in answer.content.decode()


@pytest.mark.parametrize(
    ("minutes", "lifetime"),
    [
        ("", timedelta(hours=1)),
        ("1440", timedelta(hours=24)),
        # Not numbers of minutes: the default.
        ("-1", timedelta(hours=1)),
        ("\N{SUPERSCRIPT TWO}", timedelta(hours=1)),
        ("\N{ARABIC-INDIC DIGIT THREE}", timedelta(hours=1)),
        ("100000", timedelta(hours=1)),
    ],
)
def test_the_administrator_chooses_the_lifetime(
    owner: User,
    viewer: User,
    browser_of: Callable[[User], Client],
    minutes: str,
    lifetime: timedelta,
) -> None:
    fetch(browser_of(owner), viewer, lifetime=minutes)

    link = LoginLink.objects.get()
    assert link.expires_at - link.created_at == lifetime


@pytest.mark.parametrize("lifetime", [timedelta(seconds=59), timedelta(hours=24, seconds=1)])
def test_an_invalid_lifetime_is_rejected_and_invalidates_nothing(
    owner: User, viewer: User, lifetime: timedelta
) -> None:
    issue_link(viewer, actor=owner, lifetime=timedelta(hours=1), source="panel")

    with pytest.raises(RecordInvalid, match="1 minute and 24 hours"):
        issue_link(viewer, actor=owner, lifetime=lifetime, source="panel")

    assert LoginLink.objects.get().replaced_at is None


def test_a_denied_administrator_invalidates_no_link(viewer: User, admin: User, owner: User) -> None:
    issue_link(owner, actor=owner, lifetime=timedelta(hours=1), source="panel")

    with pytest.raises(Forbidden):
        issue_link(owner, actor=admin, lifetime=timedelta(hours=1), source="panel")

    assert LoginLink.objects.get().replaced_at is None


def test_the_table_of_links_is_read_only(
    owner: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    panel = browser_of(owner)
    fetch(panel, viewer)
    link = LoginLink.objects.get()

    table = panel.get("/admin/magiclinks/loginlink/").content.decode()
    detail = panel.get(f"/admin/magiclinks/loginlink/{link.pk}/change/").content.decode()

    for text in ("viewer@example.com", "live", "owner@example.com", "admin panel"):
        assert text in table
        assert text in detail
    assert link.digest not in table + detail
    assert panel.post(f"/admin/magiclinks/loginlink/{link.pk}/delete/").status_code == 403
    assert panel.get("/admin/magiclinks/loginlink/add/").status_code == 403
    assert LoginLink.objects.count() == 1


def test_the_table_needs_the_same_number_of_queries_for_many_links(
    owner: User,
    viewer: User,
    make_user: Callable[..., User],
    browser_of: Callable[[User], Client],
    django_assert_num_queries,
) -> None:
    panel = browser_of(owner)
    fetch(panel, viewer)
    with CaptureQueriesContext(connection) as few:
        panel.get("/admin/magiclinks/loginlink/")
    before = len(few)
    fetch(panel, *[make_user("viewer", f"p{number}@example.com", None) for number in range(30)])

    with django_assert_num_queries(before):
        panel.get("/admin/magiclinks/loginlink/")


def test_the_command_prints_only_the_link_on_standard_output(
    viewer: User, stranger: Client
) -> None:
    out, err = StringIO(), StringIO()

    call_command("magiclink", "vera", "--lifetime", "30", stdout=out, stderr=err)

    assert (
        stranger.post(out.getvalue().strip().removeprefix("http://localhost:8000")).status_code
        == 302
    )
    assert "viewer@example.com" in err.getvalue()
    link = LoginLink.objects.get()
    assert (link.source, link.expires_at - link.created_at) == ("command", timedelta(minutes=30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody@example.com"], "No account has the address or user name 'nobody@example.com'."),
        (["vera", "--lifetime", "0"], "lifetime: Choose between 1 minute and 24 hours."),
    ],
)
def test_the_command_reports_what_is_wrong(
    viewer: User, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError) as problem:
        call_command("magiclink", *arguments)

    assert str(problem.value) == message
    assert LoginLink.objects.count() == 0


def test_the_rank_is_checked_before_anything_about_the_account_is_revealed(
    admin: User, owner: User
) -> None:
    with pytest.raises(Forbidden):
        issue_link(owner, actor=admin, lifetime=timedelta(0), source="panel")


# Withdrawing


def _live(user: User, actor: Actor) -> tuple[LoginLink, str]:
    issued = issue_link(user, actor=actor, lifetime=timedelta(hours=1), source="panel")
    return LoginLink.objects.get(user=user), issued.url.removeprefix("http://localhost:8000")


def test_a_withdrawn_link_signs_no_one_in(owner: User, viewer: User, stranger: Client) -> None:
    link, path = _live(viewer, owner)

    withdraw_link(actor=owner, link=link)

    answer = stranger.post(path)
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-replaced")
    assert not BrowserSession.objects.filter(user=viewer).exists()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.target_id, event.detail) == (
        "link:login:withdraw",
        owner.pk,
        viewer.pk,
        {"link": str(link.pk)},
    )


def test_a_link_is_withdrawn_once_and_by_a_higher_role(
    owner: User, admin: User, viewer: User
) -> None:
    theirs, _path = _live(viewer, owner)
    of_owner, _path = _live(owner, SYSTEM)
    withdraw_link(actor=admin, link=theirs)
    events = AuditEvent.objects.count()

    with pytest.raises(RecordInvalid, match="This link has already ended"):
        withdraw_link(actor=admin, link=theirs)
    with pytest.raises(Forbidden):
        withdraw_link(actor=admin, link=of_owner)

    of_owner.refresh_from_db()
    assert (of_owner.replaced_at, AuditEvent.objects.count()) == (None, events)
