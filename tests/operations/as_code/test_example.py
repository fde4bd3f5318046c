"""The example of the documentation is applied, exported, planned and pruned."""

from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import Group, Invitation, Membership, User
from applications.models import App, CustomScope
from applications.services.secrets import app_of_credentials
from audit.audit_log import verify
from audit.models import AuditEvent
from core.models import Branding
from forward_auth.models import AccessRule
from operations.models import AppliedConfiguration
from tests.architecture.markdown import blocks
from tests.operations.as_code.conftest import Done, command
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import secrets_of

pytestmark = pytest.mark.django_db
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "gatehouse.yaml"
CLIENT_SECRET = "a-secret-from-the-wiki-itself"
WEBHOOK_SECRET = "whsec_" + "QUJD" * 12
WEBHOOK_URL = "https://chat.northwind.example/hooks/very-secret-path"
Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WIKI_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("CHAT_WEBHOOK_URL", WEBHOOK_URL)
    (tmp_path / "webhook.secret").write_text(f"{WEBHOOK_SECRET}\n")


def test_the_example_makes_what_it_says(run: Run) -> None:
    done = run(EXAMPLE.read_text())

    assert done.code == 0, done.problems
    assert done.out.endswith("Applied: 12 created, 1 changed, 0 removed.\n")
    anna = User.objects.get(email="anna@northwind.example")
    assert (anna.role, anna.name, anna.has_usable_password()) == ("admin", "Anna Älv", False)
    assert Membership.objects.get(user=anna).group.name == "on-call"
    assert Invitation.objects.get().email == "bert@northwind.example"
    report = User.objects.get(username="nightly-report")
    on_call = Group.objects.get(name="on-call")
    assert (report.responsible_id, report.responsible_group_id) == (anna.pk, on_call.pk)
    wiki = App.objects.get(slug="wiki")
    assert app_of_credentials("wiki", CLIENT_SECRET) == wiki
    assert str(on_call.pk) in wiki.openid_group_ids
    scope = CustomScope.objects.get()
    assert (scope.name, scope.audience, wiki.custom_scopes) == ("wiki:read", wiki, ["wiki:read"])
    assert [rule.name for rule in AccessRule.objects.all()] == [
        "Metrics API for the report", "Metrics", "Everything else",
    ]  # fmt: skip
    chat = WebhookEndpoint.objects.get()
    assert (chat.url, secrets_of(chat)) == (WEBHOOK_URL, [WEBHOOK_SECRET])
    assert Branding.objects.get().name == "Northwind"


def test_every_change_is_in_the_audit_log_as_one_of_the_command(run: Run) -> None:
    run(EXAMPLE.read_text())

    events = list(AuditEvent.objects.order_by("seq"))
    assert {(event.channel, event.actor_id) for event in events} == {("command", None)}
    actions = {event.action for event in events}
    assert {"account:group:create", "account:user:create", "account:service:create",
            "account:invitation:issue", "account:membership:add", "sso:app:create",
            "sso:app:secret-import", "sso:rule:create", "webhook:endpoint:create",
            "instance:branding:change"} < actions  # fmt: skip
    assert events[-1].action == "instance:configuration:apply"
    assert verify().broken_at is None


def test_no_secret_is_printed_or_stored_readably(run: Run) -> None:
    done = run(EXAMPLE.read_text())
    exported = command("export").out

    kept = str(AppliedConfiguration.objects.values().get())
    kept += str(list(AuditEvent.objects.values_list("detail", flat=True)))
    for secret in (CLIENT_SECRET, WEBHOOK_SECRET, "very-secret-path"):
        assert secret not in done.out + done.problems + kept
    assert CLIENT_SECRET not in exported
    assert WEBHOOK_SECRET not in exported


def test_a_second_time_nothing_changes(run: Run) -> None:
    run(EXAMPLE.read_text())
    before = AuditEvent.objects.count()

    plan, again = run(EXAMPLE.read_text(), "--plan"), run(EXAMPLE.read_text())

    assert (plan.code, plan.out) == (0, "No changes needed.\n")
    assert (again.code, again.out) == (0, "No changes needed.\n")
    assert AuditEvent.objects.count() == before
    assert Invitation.objects.count() == 1


def test_a_plan_shows_everything_and_writes_nothing(run: Run) -> None:
    plan = run(EXAMPLE.read_text(), "--plan")

    assert plan.code == 2
    assert plan.out.endswith("Plan: 12 to create, 1 to change, 0 to remove.\n")
    assert "+ apps: wiki\n    name: Wiki\n" in plan.out
    assert "    client_secret: set\n" in plan.out
    for model in (User, Group, App, AccessRule, WebhookEndpoint, AuditEvent, Invitation, Branding):
        assert model.objects.count() == 0


def test_an_export_is_what_is_there(run: Run) -> None:
    run(EXAMPLE.read_text())

    exported = command("export", "--people").out

    plan = run(exported, "--plan")
    # An open invitation is no account, so it is not exported.
    left = "No longer in the file, and removed by --prune:\n    people: bert@northwind.example\n"
    assert (plan.code, plan.out) == (0, f"{left}No changes needed.\n"), plan.problems
    assert exported.startswith("# yaml-language-server: $schema=gatehouse.schema.json\n")


def test_the_page_shows_a_file_that_is_applied(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    page = EXAMPLE.parents[1] / "configuration-as-code.md"
    (shown,) = (block.text for block in blocks(page) if "version: 1" in block.text)
    monkeypatch.setenv("METRICS_CLIENT_SECRET", CLIENT_SECRET)

    done = run(shown)

    assert done.out.endswith("Applied: 3 created, 0 changed, 0 removed.\n"), done.problems
    assert app_of_credentials("metrics", CLIENT_SECRET) is not None


def test_an_export_has_at_most_as_many_people_as_a_file(db: None) -> None:
    people = [User(email=f"n{number}@example.com") for number in range(501)]
    User.objects.bulk_create(people)

    done = command("export", "--people")

    assert (done.code, done.out) == (1, "")
    assert done.problems == "people: there are more than 500; manage.py exportusers writes all"
    assert command("export").code == 0
