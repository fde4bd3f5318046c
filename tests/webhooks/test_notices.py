"""Notices to administrators: what they chose, at most one mail an hour, and nothing to others."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import change_role, create_user, delete_user, disable_user
from api.apikeys.services import KeyRequest, create_key
from audit import audit_log
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from mail.models import OutboxMail
from moderation.services.bans import ban
from tests.conftest import MakeUser, text_of
from webhooks.models import NoticeChoice, WebhookEndpoint
from webhooks.notice_groups import GROUPS
from webhooks.services.notices import choose_notices, chosen_groups, send_notices

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], datetime]
PAGE = "/admin/webhooks/webhookendpoint/notices/"


def mails() -> list[OutboxMail]:
    return list(OutboxMail.objects.filter(kind="admin-notice").order_by("pk"))


def choose(user: User, *groups: str, language: str = "en") -> None:
    choose_notices(user=user, groups=groups, language=language)


def test_an_event_is_mailed_to_whoever_chose_it(owner: User, admin: User) -> None:
    choose(owner, "removed")
    choose(admin, "bans")
    gone = create_user(actor=SYSTEM, email="gone@example.com", name="Gone Person")
    disable_user(actor=admin, user=gone)

    assert send_notices() == 1

    (mail,) = mails()
    assert mail.recipient == owner.email
    assert mail.subject == "Notice: Ada Admin disabled the account of Gone Person."
    text = text_of(mail)
    assert "- Ada Admin disabled the account of Gone Person." in text
    assert f"http://localhost:8000{PAGE}" in text
    assert send_notices() == 0


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_each_group_tells_its_events_and_no_others(
    owner: User, admin: User, endpoint: WebhookEndpoint, make_user: MakeUser, group: str
) -> None:
    target = make_user("editor", "target@example.com")
    other = make_user("viewer", "other@example.com")
    choose(owner, group)

    create_user(actor=admin, email="waiting@example.com", role="none")
    create_user(actor=admin, email="new@example.com", role="viewer")
    change_role(actor=SYSTEM, user=target, role="admin")
    change_role(actor=SYSTEM, user=other, role="editor")
    disable_user(actor=admin, user=other)
    ban(actor=SYSTEM, user=target, duration=None, reason="spam")
    for scopes in (["read"], ["users"]):
        key_request = KeyRequest(name="k", scopes=scopes)
        create_key(actor=admin, user=admin, key_request=key_request)
    _record("account:factor:reset", kinds=["totp"])
    _record("webhook:endpoint:disable", name="Chat", host="a.b", reason="webhook_gone")

    send_notices()
    (mail,) = mails()
    lines = [line for line in text_of(mail).splitlines() if line.startswith("- ")]
    assert len(lines) == (2 if group == "accounts" else 1), lines


def _record(action: str, **detail: object) -> None:
    with transaction.atomic():
        audit_log.record(action, actor=SYSTEM, **detail)


def test_events_within_an_hour_come_in_one_mail(owner: User, at_time: AtTime) -> None:
    choose(owner, "accounts")
    create_user(actor=SYSTEM, email="one@example.com")
    assert send_notices() == 1
    for name in ("two", "three"):
        create_user(actor=SYSTEM, email=f"{name}@example.com")
    assert send_notices() == 0
    at_time(timedelta(minutes=59))
    assert send_notices() == 0

    at_time(timedelta(minutes=61))
    assert send_notices() == 1

    last = mails()[-1]
    assert last.subject == "2 notices from Gatehouse"
    assert [name for name in ("one", "two", "three") if f"{name}@" in text_of(last)] == [
        "two",
        "three",
    ]


def test_many_events_are_counted(owner: User) -> None:
    choose(owner, "accounts")
    for number in range(33):
        create_user(actor=SYSTEM, email=f"n{number}@example.com")

    send_notices()

    (mail,) = mails()
    assert mail.subject == "33 notices from Gatehouse"
    text = text_of(mail)
    assert text.count("\n- ") + text.startswith("- ") == 30
    assert "And 3 more." in text


def test_own_actions_are_left_out(owner: User) -> None:
    choose(owner, "accounts")
    create_user(actor=owner, email="one@example.com")

    assert send_notices() == 0


def test_mails_are_in_the_chosen_language(owner: User) -> None:
    choose(owner, "removed", language="de")
    gone = create_user(actor=SYSTEM, email="gone@example.com", name="Gone Person")
    disable_user(actor=SYSTEM, user=gone)

    send_notices()

    assert "Gatehouse hat das Konto von Gone Person deaktiviert." in text_of(mails()[0])


def test_whoever_is_no_administrator_any_more_gets_nothing(
    owner: User, make_user: MakeUser
) -> None:
    demoted, disabled, banned, deleted = (
        make_user("admin", f"{name}@example.com")
        for name in ("demoted", "disabled", "banned", "deleted")
    )
    for user in (demoted, disabled, banned, deleted):
        choose(user, "accounts")
    change_role(actor=owner, user=demoted, role="editor")
    disable_user(actor=owner, user=disabled)
    ban(actor=owner, user=banned, duration=None, reason="x")
    delete_user(actor=owner, user=deleted)
    create_user(actor=SYSTEM, email="new@example.com")

    assert send_notices() == 0
    change_role(actor=owner, user=User.objects.get(pk=demoted.pk), role="admin")
    assert send_notices() == 0  # of what happened meanwhile
    create_user(actor=SYSTEM, email="newer@example.com")
    assert send_notices() == 1
    assert mails()[0].recipient == demoted.email


def test_a_role_that_has_just_ended_gets_nothing(make_user: MakeUser, at_time: AtTime) -> None:
    until = timezone.now() + timedelta(hours=1)
    user = make_user("admin", role_until=until, role_after="viewer")
    choose(user, "accounts")
    at_time(timedelta(hours=2))
    create_user(actor=SYSTEM, email="new@example.com")

    assert send_notices() == 0


def test_administrators_who_have_not_chosen_hear_of_webhooks_only(owner: User) -> None:
    send_notices()
    create_user(actor=SYSTEM, email="new@example.com")
    _record("webhook:endpoint:disable", name="Chat", host="a.b", reason="webhook_failing")

    assert chosen_groups(owner) == ["webhooks"]
    assert send_notices() == 1
    (mail,) = mails()
    assert "disabled the webhook “Chat” to a.b." in text_of(mail)
    assert "all deliveries failed for five days" in text_of(mail)


def test_nothing_from_before_the_choice_is_mailed(owner: User) -> None:
    create_user(actor=SYSTEM, email="new@example.com")
    choose(owner, "accounts")

    assert send_notices() == 0


def test_only_administrators_choose_known_groups(owner: User, editor: User) -> None:
    with pytest.raises(Forbidden):
        choose(editor, "bans")
    with pytest.raises(RecordInvalid):
        choose(owner, "bans", "weather")
    assert not NoticeChoice.objects.exists()


def test_the_page_stores_the_choice(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    assert browser.get(PAGE).status_code == 200
    count = AuditEvent.objects.count()

    answer = browser.post(PAGE, {"groups": ["bans", "keys"]})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    row = NoticeChoice.objects.get()
    assert (row.user_id, row.groups, row.language) == (admin.pk, ["bans", "keys"], "en")
    event = AuditEvent.objects.latest("seq")
    assert event.detail == {"groups": ["bans", "keys"]}
    assert AuditEvent.objects.count() == count + 1
    wrong = browser.post(PAGE, {"groups": ["weather"]})
    assert b"errornote" in wrong.content
    browser.post(PAGE, {})
    assert NoticeChoice.objects.get().groups == []
