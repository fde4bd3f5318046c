"""The command `demo`: made-up people with a history, all or nothing, on an empty instance only."""

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from access_reviews.models import AccessReview
from accounts.models import BrowserSession, Group, Invitation, User
from accounts.roles import Role
from accounts.services.first_run import ensure_owner
from accounts.sign_in.methods import SignInMethod
from api.models import ApiKey
from applications.models import App
from audit.audit_log import verify
from audit.models import AuditEvent
from core.errors import RecordInvalid
from devtools.servers.databases import InstanceData
from forward_auth.models import AccessRule
from magiclinks.models import LoginLink
from mail.models import OutboxMail
from moderation.models import Ban, Violation
from moderation.services.bans import active_bans
from operations.demo import create, story
from operations.demo.browsers import DemoBrowser
from operations.demo.clock import history
from operations.demo.create import CreatedDemo, create_demo
from operations.demo.groups import TEAMS
from operations.demo.people import DOMAIN, State, make_people
from operations.demo.rules import APPS, RULES
from operations.errors import OperationError
from tests.conftest import PASSWORD, MakeUser
from webhooks.models import WebhookEndpoint

TABLES = (
    *(User, AuditEvent, OutboxMail, ApiKey, App, AccessRule, Violation, Ban, LoginLink),
    Invitation,
)


def make(count: int = 10, seed: int = 1, password: str | None = None) -> CreatedDemo:
    return create_demo(
        count=count, seed=seed, password=password, progress=lambda _done, _total: None
    )


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TABLES}


# Who there is


def test_the_same_seed_makes_the_same_people() -> None:
    assert make_people(40, 7, 60) == make_people(40, 7, 60)
    assert make_people(40, 7, 60) != make_people(40, 8, 60)


@pytest.mark.parametrize("count", [10, 40, 5000])
def test_every_state_and_role_occurs_and_names_are_unique(count: int) -> None:
    people = make_people(count, 1, 60)

    assert len(people) == count
    assert {persona.state for persona in people} == set(State)
    assert Counter(persona.role for persona in people)[Role.OWNER] == 1
    assert {persona.role for persona in people} == set(Role) - {Role.NONE}
    assert len({persona.email for persona in people}) == count
    names = [persona.username for persona in people if persona.username]
    assert len(set(names)) == len(names)
    assert all(persona.email.endswith(f"@{DOMAIN}") for persona in people)
    assert DOMAIN.endswith(".example")


# What there is afterwards


@pytest.mark.django_db
def test_a_demo_has_people_in_every_state_and_their_history() -> None:
    created = make(40)
    now = timezone.now()

    assert created.people == {
        "active": 32,
        "disabled": 2,
        "banned": 1,
        "waiting for confirmation": 2,
        "invited": 3,
    }
    assert User.objects.people().count() == 37
    assert [user.email for user in User.objects.service_accounts().order_by("pk")] == [
        "backup", "release-notes",
    ]  # fmt: skip
    assert User.objects.without_responsible(now).get().email == "release-notes"
    assert User.objects.filter(is_active=False).count() == 2
    assert User.objects.people().filter(email_verified_at=None).count() == 2
    # One more, whose mailbox refuses mail.
    assert Invitation.objects.filter(used_at=None).count() == 4
    assert active_bans().exclude(user=None).count() == 1
    assert active_bans().exclude(network="").count() == 1
    assert set(Ban.objects.values_list("kind", flat=True)) == {"automatic", "manual"}
    assert Ban.objects.exclude(lifted_at=None).count() == 1
    assert AccessRule.objects.count() == len(RULES)
    assert Group.objects.count() == len(TEAMS) == created.rows["groups"]
    for group in Group.objects.all():
        ends = [row.until for row in group.memberships.all()]
        assert ends
        assert all(end is None or end > now for end in ends)
    asked = AccessRule.objects.exclude(group_ids=[]).get().group_ids
    assert Group.objects.filter(pk__in=asked).count() == len(asked) == 2
    assert App.objects.count() == len(APPS) == 6
    assert not AccessRule.objects.filter(app=None).exists()
    assert not App.objects.filter(rules=None).exists()
    assert BrowserSession.objects.filter(expire_date__gt=now).count() > 20
    assert User.objects.exclude(last_login=None).count() == 35
    assert rows()["AuditEvent"] == created.rows["audit rows"]
    assert [hook.is_enabled for hook in WebhookEndpoint.objects.all()] == [False]
    review = AccessReview.objects.get()
    assert review.closed_at is None
    assert now < review.due_at < now + timedelta(days=11)
    assert review.items.count() == 35


@pytest.mark.django_db
def test_its_audit_log_is_valid_and_tells_sixty_days_in_order() -> None:
    make()

    times = list(AuditEvent.objects.order_by("seq").values_list("at", flat=True))
    assert verify().broken_at is None
    assert times == sorted(times)
    assert times[-1] <= timezone.now()
    assert timedelta(days=59) < times[-1] - times[0] < timedelta(days=61)
    created = User.objects.values_list("created_at", flat=True)
    assert min(created) == times[0]
    assert len(set(created)) == 11


@pytest.mark.django_db
def test_its_keys_are_used_unused_expiring_and_ended() -> None:
    make()
    now = timezone.now()

    live = ApiKey.objects.filter(expires_at__gt=now, revoked_at=None)
    assert live.filter(last_used_at=None).exists()
    assert live.filter(last_used_at__gt=now - timedelta(days=3)).exists()
    assert live.filter(expires_at__lt=now + timedelta(days=7)).count() == 1
    assert ApiKey.objects.filter(expires_at__lt=now, revoked_at=None, rotated_at=None).count() == 1
    assert ApiKey.objects.exclude(revoked_at=None).count() == 1
    assert ApiKey.objects.exclude(rotated_at=None).count() == 1


@pytest.mark.django_db
def test_no_mail_waits_for_the_worker_of_a_server() -> None:
    make()

    assert set(OutboxMail.objects.values_list("status", flat=True)) == {"sent", "dead"}
    failed = OutboxMail.objects.get(status="dead")
    assert (failed.kind, failed.last_error) == ("invitation", "550 5.1.1 no such mailbox here")
    assert AuditEvent.objects.filter(action="mail:outbox:dead").count() == 1
    assert settings.MAIL_TRANSPORT == "mail.transports.transport"


@pytest.mark.django_db
def test_the_links_state_is_of_every_kind_and_the_printed_one_signs_the_owner_in() -> None:
    created = make()
    started = timezone.now()
    client = Client(headers={"host": "localhost:8000"})
    path = created.link.removeprefix("http://localhost:8000")

    states = {link.state(timezone.now()) for link in LoginLink.objects.all()}
    assert states >= {"used", "expired", "live"}
    assert client.post(path).status_code == 302
    owner = User.objects.get(role=Role.OWNER)
    assert client.session["_auth_user_id"] == str(owner.pk)
    Client(headers={"host": "localhost:8000"}).post(path)
    assert BrowserSession.objects.filter(user=owner, created_at__gt=started).count() == 1
    assert not owner.has_usable_password()


@pytest.mark.django_db
def test_no_password_of_a_demo_is_known_but_the_one_that_was_given(
    stranger: Client,
) -> None:
    created = make(password=PASSWORD)

    answer = stranger.post("/sign-in", {"login": created.owner, "password": PASSWORD})

    assert answer.status_code == 302
    others = User.objects.exclude(email=created.owner)
    assert any(user.has_usable_password() for user in others)
    assert not any(user.check_password(PASSWORD) for user in others)


@pytest.mark.django_db
def test_the_placeholder_owner_of_a_started_server_becomes_the_owner() -> None:
    placeholder = ensure_owner()

    created = make()

    assert User.objects.get(role=Role.OWNER).pk == placeholder.pk
    assert User.objects.get(role=Role.OWNER).email == created.owner
    assert verify().broken_at is None


# What it refuses


@pytest.mark.django_db
def test_an_instance_with_an_account_is_left_alone(make_user: MakeUser) -> None:
    make_user("viewer", "real@example.com")
    before = rows()

    with pytest.raises(OperationError, match="This instance has accounts"):
        make()

    assert rows() == before


@pytest.mark.django_db
def test_a_default_owner_with_a_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEFAULT_OWNER_PASSWORD", PASSWORD)
    before = rows()

    with pytest.raises(OperationError, match="Remove it for the demo"):
        make()

    assert rows() == before


@pytest.mark.django_db
def test_a_failure_at_the_end_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    def plan(planned: story.Story) -> None:
        planned.plan(planned.end, fail)

    monkeypatch.setattr(create, "plan_activity", plan)
    before, started = rows(), timezone.now()

    with pytest.raises(ZeroDivisionError):
        make()

    assert rows() == before
    assert timezone.now() - started < timedelta(days=1)
    assert settings.MAIL_TRANSPORT == "mail.transports.transport"


@pytest.mark.django_db
@pytest.mark.parametrize("count", [-1, 0, 9, 5001])
def test_a_number_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(OperationError, match=r"^--people: choose from 10 to 5000\.$"):
        make(count)


@pytest.mark.django_db
def test_a_weak_password_is_refused_by_the_rules_of_every_password() -> None:
    with pytest.raises(RecordInvalid) as refused:
        make(password="northwind")

    assert list(refused.value.errors) == ["password"]
    assert not User.objects.exists()


@pytest.mark.django_db
def test_whom_the_access_policy_refuses_gets_no_session(make_user: MakeUser) -> None:
    user = make_user("viewer", is_active=False)

    DemoBrowser("192.0.2.1", "Firefox").sign_in(user, SignInMethod.PASSWORD)

    assert not BrowserSession.objects.exists()


# Its clock


def test_the_clock_of_the_history_goes_neither_back_nor_ahead() -> None:
    start = timezone.now() - timedelta(days=2)

    with history(start) as clock:
        assert timezone.now() == start
        assert User._meta.get_field("created_at").get_default() == start
        clock.move_to(start + timedelta(days=1))
        assert timezone.now() == start + timedelta(days=1)
        for wrong in (start, start + timedelta(days=3)):
            with pytest.raises(ValueError, match="the story is at"):
                clock.move_to(wrong)

    assert timezone.now() > start + timedelta(days=2)


def test_the_clock_is_right_again_after_a_failure() -> None:
    start = timezone.now() - timedelta(days=2)

    with pytest.raises(ZeroDivisionError), history(start):
        raise ZeroDivisionError

    assert timezone.now() > start + timedelta(days=2)


def test_a_clock_that_was_set_before_is_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make pictures` runs the command under a clock of its own."""

    class OtherDatetime(datetime):
        pass

    monkeypatch.setattr(timezone, "datetime", OtherDatetime)

    with history(timezone.now() - timedelta(days=2)):
        assert vars(timezone)["datetime"] is not OtherDatetime

    assert vars(timezone)["datetime"] is OtherDatetime


# The command


def test_the_command_fills_an_empty_instance_once(any_data: InstanceData) -> None:
    first = any_data.manage("demo", "--people", "10", "--json")

    assert first.returncode == 0, first.stderr
    printed = json.loads(first.stdout)
    assert printed["owner"].endswith(f"@{DOMAIN}")
    assert sum(printed["people"].values()) == 10
    assert printed["link"].startswith("http://localhost:8000/magic-link/")
    assert any_data.manage("verifyaudit").returncode == 0

    again = any_data.manage("demo")

    assert again.returncode == 1
    assert again.stdout == ""
    assert "This instance has accounts" in again.stderr
    assert "Traceback" not in again.stderr
    assert any_data.shell("from accounts.models import User; result = User.objects.count()") == 11


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """prepared("--people", "10", stdin="…") -> what `demo` prints, on the database of the test."""
    module = "operations.management.commands.demo"
    monkeypatch.setattr(f"{module}.prepare", lambda _say: None)

    def run(*arguments: str, stdin: str = "", **options: Any) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        out = io.StringIO()
        call_command("demo", "--people", "10", *arguments, stdout=out, **options)
        return out.getvalue()

    return run


@pytest.mark.django_db
def test_the_command_prints_the_link_and_how_to_get_another(
    prepared: Callable[..., str],
) -> None:
    printed = prepared()

    owner = User.objects.get(role=Role.OWNER)
    assert f"The owner is {owner.email}. This link signs them in once:" in printed
    assert "    http://localhost:8000/magic-link/" in printed
    assert f"manage.py magiclink {owner.email}" in printed
    assert "Made up 10 people (6 active, 1 disabled, 1 banned" in printed


@pytest.mark.django_db
def test_the_command_reads_the_password_of_the_owner(prepared: Callable[..., str]) -> None:
    printed = prepared("--password-stdin", stdin=f"{PASSWORD}\n")

    assert User.objects.get(role=Role.OWNER).check_password(PASSWORD)
    assert PASSWORD not in printed


@pytest.mark.django_db
@pytest.mark.parametrize("typed", ["", "\n", "short\n"])
def test_the_command_refuses_an_empty_or_weak_password(
    prepared: Callable[..., str], typed: str
) -> None:
    with pytest.raises(CommandError):
        prepared("--password-stdin", stdin=typed)

    assert not User.objects.exists()


@pytest.mark.django_db
def test_long_work_shows_its_progress(
    prepared: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.management.commands.demo.SHOWN_FROM", 1)
    errors = io.StringIO()

    printed = prepared("--json", stderr=errors)

    assert [line for line in errors.getvalue().splitlines() if line.endswith(" %")][-1] == "100 %"
    assert json.loads(printed)["people"]["active"] == 6
