"""Read-only tables: readable by administrators, never writable, without secrets."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import BrowserSession, User
from accounts.services.sessions import end_session
from audit import audit_log
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound
from core.web.request_context import RequestContext, use_context
from magiclinks.services import issue_link
from mail.models import OutboxMail
from mail.outbox import enqueue_mail
from tests.admin.conftest import BrowserOf, MakeUser

pytestmark = pytest.mark.django_db
AUDIT = "/admin/audit/auditevent/"
MAIL = "/admin/mail/outboxmail/"
SESSIONS = "/admin/accounts/browsersession/"
LINKS = "/admin/magiclinks/loginlink/"
LISTS = [AUDIT, MAIL, SESSIONS, LINKS]
SignIn = Callable[[str], tuple[Client, User]]
Status = OutboxMail.Status


def made_mail(user: User | None = None, status: str = Status.DEAD, **fields: Any) -> OutboxMail:
    """A mail as the outbox writes it, then put into a state."""
    mail = enqueue_mail(
        kind="magic-link",
        recipient=user.email if user else "someone@example.com",
        context={"url": "http://localhost:8000/magic-link/secret-of-the-mail", "minutes": 10},
        user=user,
    )
    for name, value in {"status": status, **fields}.items():
        setattr(mail, name, value)
    mail.save()
    return mail


def made_session(user: User, **fields: Any) -> BrowserSession:
    defaults = {
        "session_key": uuid.uuid4().hex * 2,
        "expire_date": timezone.now() + timedelta(days=1),
        "session_data": "data-of-the-session",
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0",
    }
    return BrowserSession.objects.create(user=user, **(defaults | fields))


def details_of_all(person: User) -> list[str]:
    """One address of each kind of fact."""
    event = AuditEvent.objects.latest("seq")
    return [
        f"{AUDIT}{event.pk}/change/",
        f"{MAIL}{made_mail(person).pk}/change/",
        f"{SESSIONS}{made_session(person).public_id}/change/",
    ]


def shown(client: Client, url: str) -> list[Any]:
    """The rows of a list."""
    answer = client.get(url)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def said(client: Client) -> list[str]:
    return [str(message) for message in client.get(MAIL).context["messages"]]


def act(client: Client, url: str, action: str, keys: list[Any], **more: str) -> Any:
    ticked = {"action": action, "_selected_action": [str(key) for key in keys], "index": "0"}
    return client.post(url, ticked | more)


# Who may look


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    ("role", "status"),
    [("none", 403), ("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)],
)
def test_a_read_only_list_opens_only_for_administrators(
    as_role: SignIn, role: str, status: int, url: str
) -> None:
    browser, _administrator = as_role(role)

    assert browser.get(url).status_code == status


@pytest.mark.parametrize("url", LISTS)
def test_an_anonymous_client_is_sent_to_the_sign_in_page(as_role: SignIn, url: str) -> None:
    browser, _no_one = as_role("stranger")

    answer = browser.get(url)

    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={url}")


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)]
)
def test_a_page_of_one_row_opens_only_for_administrators(
    as_role: SignIn, viewer: User, role: str, status: int
) -> None:
    browser, _administrator = as_role(role)

    assert [browser.get(url).status_code for url in details_of_all(viewer)] == [status] * 3


# Read-only


def _facts() -> list[Any]:
    models = (AuditEvent, OutboxMail)
    rows = [list(model.objects.order_by("pk").values()) for model in models]
    return [*rows, set(BrowserSession.objects.values_list("public_id", "user_id", "ip"))]


@pytest.mark.parametrize(
    ("role", "status"),
    [("stranger", 302), ("viewer", 403), ("editor", 403), ("admin", 403), ("owner", 403)],
)
def test_a_forged_post_changes_no_row(
    as_role: SignIn, viewer: User, role: str, status: int
) -> None:
    browser, _administrator = as_role(role)
    audit_log.record("account:user:edit", target=viewer)
    pages = details_of_all(viewer)
    before = _facts()
    forged = {"action": "made:up", "recipient": "x@example.com", "ip": "1.1.1.1", "post": "yes"}
    targets = [
        *pages,
        *(page.replace("/change/", "/delete/") for page in pages),
        *(f"{url}add/" for url in LISTS),
    ]

    statuses = {url: browser.post(url, forged).status_code for url in targets}

    assert set(statuses.values()) == {status}, statuses
    assert _facts() == before


@pytest.mark.parametrize("url", LISTS)
def test_djangos_delete_action_is_not_offered(as_role: SignIn, viewer: User, url: str) -> None:
    browser, _administrator = as_role("owner")
    audit_log.record("account:user:edit", target=viewer)
    made_mail(viewer)
    session = made_session(viewer)
    before = _facts()
    keys = [session.public_id] if url == SESSIONS else [OutboxMail.objects.get().pk]

    answer = act(browser, url, "delete_selected", keys, post="yes")

    # Lists without actions show themselves; others come back with a word that nothing was done.
    assert answer.status_code == (200 if url == AUDIT else 302)
    assert _facts() == before


# Secrets


def test_no_page_shows_a_secret(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("owner")
    pages = details_of_all(viewer)
    issued = issue_link(viewer, actor=_administrator, lifetime=timedelta(hours=1), source="panel")
    token = issued.url.rpartition("/")[2]
    link = viewer.login_links.get()
    secrets = [
        *BrowserSession.objects.values_list("session_key", flat=True),
        *OutboxMail.objects.values_list("sealed_body", flat=True),
        "data-of-the-session",
        "secret-of-the-mail",
        link.digest,
        token,
        viewer.password,
    ]
    lists = [
        f"{url}{query}" for url in LISTS for query in ("", "?_popup=1", "?_popup=1&_to_field=id")
    ]
    pages += [f"{LINKS}{link.pk}/change/", f"{SESSIONS}?_popup=1&_to_field=session_key", "/admin/"]

    for url in lists + pages:
        text = browser.get(url).content.decode()
        assert [secret for secret in secrets if secret in text] == [], url


def test_a_session_is_not_found_by_its_key(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("owner")
    session = made_session(viewer)

    assert browser.get(f"{SESSIONS}{session.session_key}/change/").status_code == 302
    assert browser.get(f"{SESSIONS}{session.public_id}/change/").status_code == 200


# The audit log


def test_the_audit_log_shows_the_current_addresses_of_users(
    as_role: SignIn, viewer: User, admin: User
) -> None:
    browser, _administrator = as_role("owner")
    audit_log.record("account:user:edit", actor=admin, target=viewer, fields=["name"])
    User.objects.filter(pk=viewer.pk).update(email="moved@example.com")
    gone = uuid.uuid4()
    audit_log.record("account:user:delete", actor=admin, target=User(pk=gone))

    page = browser.get(AUDIT).content.decode()

    assert f'<a href="/admin/accounts/user/{viewer.pk}/change/">moved@example.com</a>' in page
    assert f'<code title="{gone}">{str(gone)[-8:]}…</code>' in page
    assert "Ada Admin changed the profile of Vera Viewer: name." in page
    assert f"Ada Admin deleted the account of a deleted account (…{str(gone)[-8:]})" in page


def test_the_audit_log_is_newest_first(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("owner")
    first, second = (audit_log.record("account:user:edit", target=viewer) for _ in range(2))

    assert [event.seq for event in shown(browser, AUDIT)][:2] == [second.seq, first.seq]


def _searched(browser: Client, text: str) -> set[int]:
    return {event.seq for event in shown(browser, f"{AUDIT}?q={text}")}


def test_the_audit_log_is_searched_by_user_id_address_and_request(
    as_role: SignIn, make_user: Callable[..., User]
) -> None:
    browser, _administrator = as_role("owner")
    one, other = make_user(email="one@example.com"), make_user(email="two@example.net")
    with use_context(RequestContext(ip="198.51.100.4", request_id="feed0001", channel="web")):
        first = audit_log.record("account:user:edit", actor=one, target=other).seq
    with use_context(RequestContext(ip="198.51.100.5", request_id="feed0002", channel="web")):
        second = audit_log.record("account:role:change", target=other).seq

    assert _searched(browser, "one@example.com") == {first}
    assert _searched(browser, "@example.net") == {first, second}
    assert _searched(browser, str(one.pk)) == {first}
    assert _searched(browser, str(other.pk)) == {first, second}
    assert _searched(browser, "198.51.100.5") == {second}
    assert _searched(browser, "feed0001") == {first}
    assert _searched(browser, "account:role:change") == {second}
    assert _searched(browser, "nobody@example.com") == set()
    assert _searched(browser, "nothing") == set()


@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("about=roles", {"account:role:change"}),
        ("about=mail", {"mail:outbox:dead"}),
        ("about=links", {"link:login:issue"}),
        ("result=failure", {"mail:outbox:dead"}),
        ("result=refused", {"link:login:issue"}),
        ("about=roles&result=refused", set()),
        ("at=longer", {"account:email:verify"}),
    ],
)
def test_the_audit_log_is_filtered(as_role: SignIn, query: str, actions: set[str]) -> None:
    browser, _administrator = as_role("owner")
    audit_log.record("account:role:change")
    audit_log.record("mail:outbox:dead", result="failure")
    audit_log.record("link:login:issue", result="refused")
    old = audit_log.record("account:email:verify")
    AuditEvent.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=91))

    assert {event.action for event in shown(browser, f"{AUDIT}?{query}")} == actions


def test_an_invalid_filter_value_filters_nothing(as_role: SignIn) -> None:
    browser, _administrator = as_role("owner")
    audit_log.record("account:role:change")

    everything = len(shown(browser, AUDIT))

    assert len(shown(browser, f"{AUDIT}?about=x&result=y&at=z")) == everything


def test_an_unknown_lookup_is_rejected(as_role: SignIn) -> None:
    browser, _administrator = as_role("owner")
    made_mail()

    for url in (f"{MAIL}?sealed_body__startswith=a", f"{SESSIONS}?session_key__startswith=a"):
        assert browser.get(url).status_code == 400, url
    links = "/admin/magiclinks/loginlink/"
    for query in (
        "created_at__year=99999",
        "created_at__month=x",
        "source__regex=(",
        "source__in=",
    ):
        assert browser.get(f"{links}?{query}").status_code == 400, query
    assert browser.get(f"{links}?created=x&source__exact=panel").status_code == 200


def test_an_id_with_a_null_character_is_not_found(as_role: SignIn) -> None:
    browser, _administrator = as_role("owner")

    for table in ("forward_auth/denial", "accounts/user", "audit/auditevent", "api/apikey"):
        for page in ("change", "delete"):
            answer = browser.get(f"/admin/{table}/%00/{page}/")
            assert answer.status_code in {302, 403}, (table, page)


@pytest.mark.parametrize("url", [AUDIT, MAIL, SESSIONS])
def test_a_list_needs_the_same_number_of_queries_for_many_rows(
    as_role: SignIn, make_user: Callable[..., User], url: str
) -> None:
    browser, _administrator = as_role("owner")

    def grow() -> None:
        person = make_user()
        audit_log.record("account:user:edit", actor=person, target=person)
        made_mail(person)
        made_session(person)

    grow()
    browser.get(url)
    with CaptureQueriesContext(connection) as few:
        browser.get(url)
    for _ in range(12):
        grow()
    with CaptureQueriesContext(connection) as many:
        browser.get(url)

    assert len(many) == len(few)


# Sending again


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_an_administrator_resends_a_failed_mail(as_role: SignIn, viewer: User, role: str) -> None:
    browser, administrator = as_role(role)
    mail = made_mail(viewer, attempts=8, last_error="550 no mailbox")

    answer = act(browser, MAIL, "send_again", [mail.pk])

    mail.refresh_from_db()
    assert answer.status_code == 302
    assert (mail.status, mail.attempts, mail.last_error) == (Status.QUEUED, 0, "")
    event = AuditEvent.objects.get(action="mail:outbox:retry")
    assert (event.actor_id, event.target_id) == (administrator.pk, viewer.pk)
    assert said(browser) == ["1 mail will be sent again."]


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_administrators_resend_mail(as_role: SignIn, viewer: User, role: str) -> None:
    browser, _person = as_role(role)
    mail = made_mail(viewer)

    assert act(browser, MAIL, "send_again", [mail.pk]).status_code == 403
    mail.refresh_from_db()
    assert mail.status == Status.DEAD


def test_mails_that_cannot_be_resent_are_counted(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("admin")
    mails = [made_mail(viewer) for _ in range(2)]
    mails += [made_mail(viewer, Status.SENT, sealed_body="") for _ in range(2)]
    mails.append(made_mail(viewer, expires_at=timezone.now() - timedelta(minutes=1)))

    act(browser, MAIL, "send_again", [mail.pk for mail in mails])

    assert sorted(said(browser)) == [
        "2 mails will be sent again.",
        "Skipped 1: The link in this mail has expired. Issue a new one.",
        "Skipped 2: This mail has been sent, and its text was deleted.",
    ]


@pytest.mark.parametrize("key", ["x", "", "1", "\x00"])
@pytest.mark.parametrize(("url", "action"), [(MAIL, "send_again"), (SESSIONS, "end_chosen")])
def test_a_selection_that_is_no_id_changes_nothing(
    as_role: SignIn, viewer: User, url: str, action: str, key: str
) -> None:
    browser, _administrator = as_role("owner")
    made_mail(viewer)
    made_session(viewer)
    before = _facts()

    assert act(browser, url, action, [key]).status_code == 302
    assert _facts() == before


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("status=dead", [Status.DEAD]),
        ("status=sent", [Status.SENT]),
        ("kind=magic-link", [Status.SENT, Status.DEAD]),
        ("kind=reset-password", []),
        ("q=vera", [Status.DEAD]),
        ("created=today", [Status.SENT, Status.DEAD]),
        ("created=longer", []),
    ],
)
def test_mail_is_filtered_and_searched(
    as_role: SignIn, make_user: Callable[..., User], query: str, statuses: list[str]
) -> None:
    browser, _administrator = as_role("owner")
    made_mail(make_user(email="vera@example.com"), Status.DEAD)
    made_mail(make_user(email="tom@example.com"), Status.SENT, sealed_body="")

    assert [mail.status for mail in shown(browser, f"{MAIL}?{query}")] == statuses


# Ending sessions


def test_an_administrator_ends_only_sessions_of_lower_ranks(
    as_role: SignIn, viewer: User, owner: User
) -> None:
    browser, administrator = as_role("admin")
    low, high = made_session(viewer), made_session(owner)

    answer = act(browser, SESSIONS, "end_chosen", [low.public_id, high.public_id])

    assert answer.status_code == 302
    left = set(BrowserSession.objects.values_list("public_id", flat=True))
    assert low.public_id not in left
    assert high.public_id in left
    event = AuditEvent.objects.get(action="account:session:end")
    assert (event.actor_id, event.target_id) == (administrator.pk, viewer.pk)
    assert said(browser) == [
        "1 session has ended.",
        "Skipped 1: You may only manage people whose role is below your own.",
    ]


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_administrators_end_sessions_in_the_admin(
    as_role: SignIn, make_user: Callable[..., User], role: str
) -> None:
    browser, _person = as_role(role)
    session = made_session(make_user("none"))

    assert act(browser, SESSIONS, "end_chosen", [session.public_id]).status_code == 403
    assert BrowserSession.objects.filter(pk=session.pk).exists()


def test_a_session_key_is_not_accepted_as_a_selection(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("owner")
    session = made_session(viewer)

    act(browser, SESSIONS, "end_chosen", [session.session_key])

    assert BrowserSession.objects.filter(pk=session.pk).exists()


def test_ended_and_anonymous_sessions_are_not_listed(as_role: SignIn, viewer: User) -> None:
    browser, administrator = as_role("owner")
    made_session(viewer, expire_date=timezone.now() - timedelta(seconds=1))
    BrowserSession.objects.filter(pk=made_session(viewer).pk).update(user=None)
    live = made_session(viewer)

    rows = shown(browser, SESSIONS)

    assert {row.public_id for row in rows} == {
        live.public_id,
        administrator.sessions.get().public_id,
    }


def test_a_session_shows_its_device_and_user(as_role: SignIn, viewer: User) -> None:
    browser, _administrator = as_role("owner")
    session = made_session(viewer)

    page = browser.get(f"{SESSIONS}{session.public_id}/change/").content.decode()

    assert "Firefox on Windows" in page
    assert viewer.email in page
    assert "203.0.113.7" in page


def test_the_service_ends_a_session_once(viewer: User, admin: User, owner: User) -> None:
    session = made_session(viewer)
    with pytest.raises(Forbidden):
        end_session(actor=admin, session=made_session(owner))

    end_session(actor=admin, session=session)

    with pytest.raises(NotFound):
        end_session(actor=admin, session=session)
    assert AuditEvent.objects.filter(action="account:session:end").count() == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [("vera@", 1), ("Vera", 1), ("203.0.113.", 1), ("2001:db8:", 0), ("nobody", 0), ("", 2)],
)
def test_sessions_are_searched_by_person_and_network(
    owner: User, make_user: MakeUser, browser_of: BrowserOf, text: str, count: int
) -> None:
    browser, vera = browser_of(owner), make_user("viewer", "vera@example.com", name="Vera Veil")
    browser_of(vera)
    BrowserSession.objects.filter(user=vera).update(ip="203.0.113.7")

    with CaptureQueriesContext(connection) as asked:
        page = browser.get("/admin/accounts/browsersession/", {"q": text})

    assert len(page.context["cl"].result_list) == count
    joined = [query["sql"] for query in asked.captured_queries if "JOIN" in query["sql"]]
    assert [sql for sql in joined if '"accounts_user"."email" LIKE' in sql] == []
