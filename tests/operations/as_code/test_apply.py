"""Applying is all or nothing, by the services of the panel, and never against an owner."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from applications.models import App, CustomScope
from applications.services.apps import edit_app
from audit.audit_log import verify
from audit.models import AuditEvent
from core.branding import current
from core.models import Branding
from forward_auth.models import AccessRule
from mail.models import OutboxMail
from operations.models import AppliedConfiguration
from tests.core.branding import pictures
from tests.operations.as_code.conftest import HOOK, WIKI, Done, command
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import create_endpoint

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]


def state() -> tuple[int, ...]:
    models = (User, Group, App, AccessRule, WebhookEndpoint, AuditEvent, OutboxMail, Membership,
              AppliedConfiguration)  # fmt: skip
    return tuple(model.objects.count() for model in models)


def places_of(done: Done) -> set[str]:
    """`4: groups[1].name` of each problem."""
    told = [line.partition("gatehouse.yaml:")[2] for line in done.problems.splitlines()]
    return {": ".join(line.split(": ")[:2]) for line in told if line}


def test_errors_of_all_services_are_told_at_once_and_nothing_is_written(run: Run) -> None:
    before = state()

    done = run(
        """\
version: 1
groups:
  - name: finance
  - name: admin
people:
  - email: anna@example.com
    groups: [finance, finanse]
  - email: not an address
service_accounts:
  - username: bot
    responsible: nobody@example.com
apps:
  - slug: wiki
    name: Wiki
    url: ftp://wiki.example.com
    redirect_uris:
      - https://wiki.example.com/callback
      - https://wiki.example.com/#callback
    openid_kind: web
    client_secret: {env: NOT_SET_ANYWHERE}
access_rules:
  - name: Wiki
    effect: role
    host: wiki.example.com:443
    networks: [10.0.0.0/8, 10.0.0.0/99]
    app: wikki
webhooks:
  - name: Chat
    url: http://user:word@chat.example.com/
    secret: {file: not-there}
"""
    )

    assert done.code == 1
    assert state() == before
    lines = done.problems.splitlines()
    # Keys are read before anything is stored.
    assert places_of(done) == {"4: groups[1].name", "8: people[1].email"}
    assert lines[-1].startswith("2 problems in ")
    assert lines[-1].endswith("Nothing was changed.")


def test_problems_of_every_kind_have_their_place(run: Run) -> None:
    before = state()

    done = run(
        """\
version: 1
groups:
  - name: finance
    label: "%s"
people:
  - email: anna@example.com
    groups: [finance, finanse]
service_accounts:
  - username: bot
    responsible: nobody@example.com
    team: nowhere
apps:
  - slug: wiki
    name: Wiki
    url: https://wiki.example.com
    redirect_uris:
      - https://wiki.example.com/callback
      - https://wiki.example.com/#callback
    openid_kind: web
    client_secret: {env: NOT_SET_ANYWHERE}
    openid_people: [anna@example.com, nobody@example.com]
access_rules:
  - name: Wiki
    effect: role
    host: wiki.example.com:443
    networks: [10.0.0.0/8, 10.0.0.0/99]
    app: wikki
webhooks:
  - name: Chat
    url: https://chat.example.com/
    secret: {file: not-there}
"""
        % ("x" * 81)
    )

    assert (done.code, state()) == (1, before)
    assert places_of(done) == {
        "4: groups[0].label",
        "7: people[0].groups[1]",
        "10: service_accounts[0].responsible",
        "11: service_accounts[0].team",
        "18: apps[0].redirect_uris[1]",
        "20: apps[0].client_secret",
        "21: apps[0].openid_people[1]",
        "25: access_rules[0].host",
        "26: access_rules[0].networks[1]",
        "27: access_rules[0].app",
        "31: webhooks[0].secret",
    }


def test_a_late_failure_takes_everything_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state()

    def fail(*_arguments: object) -> None:
        raise RuntimeError("the machine was switched off")

    monkeypatch.setattr("operations.as_code.apply.store_record", fail)
    with pytest.raises(RuntimeError):
        run({"groups": [{"name": "finance"}], "webhooks": [HOOK]})

    assert state() == before
    assert verify().broken_at is None


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = command("apply", str(tmp_path / "none.yaml"))

    assert done.code == 1
    assert done.problems.endswith("none.yaml cannot be read: No such file or directory.")


def test_what_the_file_does_not_name_is_left_alone(run: Run, viewer: User) -> None:
    group = create_group(actor=SYSTEM, name="by-hand")
    add_member(actor=SYSTEM, user=viewer, group=group)
    hook = create_endpoint(actor=SYSTEM, values=HOOK).endpoint

    done = run({"groups": [{"name": "finance"}]})

    assert done.code == 0
    assert {each.name for each in Group.objects.all()} == {"by-hand", "finance"}
    assert Membership.objects.filter(user=viewer, group=group).exists()
    assert WebhookEndpoint.objects.filter(pk=hook.pk).exists()


def test_a_field_that_is_left_out_has_its_default(run: Run) -> None:
    """So a line that is deleted in a review really takes something away."""
    run({"apps": [{**WIKI, "is_trusted": True, "openid_second_factor": True}]})
    app = App.objects.get()
    edit_app(actor=SYSTEM, app=app, changes={"signed_userinfo": True})

    done = run({"apps": [WIKI]})

    assert done.out.splitlines() == [
        "~ apps: wiki",
        "    is_trusted: true -> false",
        "    openid_second_factor: true -> false",
        "    signed_userinfo: true -> false",
        "Applied: 0 created, 1 changed, 0 removed.",
    ]
    app.refresh_from_db()
    assert (app.is_trusted, app.openid_second_factor, app.signed_userinfo) == (False, False, False)
    assert app.client_id == App.objects.get().client_id


def test_a_scope_and_its_api_follow_the_file(run: Run) -> None:
    scope = {"name": "books:read", "description": "read your books", "audience": "wiki"}
    run({"apps": [{**WIKI, "custom_scopes": ["books:read"]}], "scopes": [scope]})
    plain = {**scope, "audience": "", "is_public": False}

    unknown = run({"scopes": [{**scope, "audience": "wikki"}]})
    missing = run({"apps": [{**WIKI, "custom_scopes": ["books:write"]}]})
    done = run({"scopes": [plain]})

    assert "scopes[0].audience: there is no app of this short name" in unknown.problems
    assert "apps[0].custom_scopes: " in missing.problems
    assert done.out.startswith(
        '~ scopes: books:read\n    audience: wiki -> ""\n    is_public: true -> false\n'
    )
    assert run({"scopes": [plain]}, "--prune", "--yes").out.endswith("1 removed.\n")
    assert run({}, "--prune", "--yes").out.startswith("- scopes: books:read (deleted)\n")
    assert not CustomScope.objects.exists()


def test_an_app_that_registered_itself_is_not_exported(run: Run) -> None:
    run({"apps": [WIKI]})
    App.objects.update(is_self_registered=True)

    assert "wiki" not in command("export").out


def test_ids_of_people_in_an_app_do_not_change_by_a_file(run: Run) -> None:
    run({"apps": [WIKI]})

    done = run({"apps": [{**WIKI, "subject_type": "pairwise"}]})

    assert done.code == 1
    assert "apps[0].subject_type: The app knows people by these ids." in done.problems
    assert App.objects.get().subject_type == "public"


def test_a_variable_that_fixes_the_appearance_is_respected(run: Run, settings: Any) -> None:
    settings.BRANDING_LOCKS = {"name": "BRAND_NAME"}

    refused = run({"branding": {"name": "Northwind"}})
    done = run({"branding": {"color": "#1d4ed8"}})

    assert "branding.name: BRAND_NAME sets this." in refused.problems
    assert (done.code, Branding.objects.get().color) == (0, "#1d4ed8")


def test_a_logo_is_read_from_beside_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(pictures.png())
    file = {"branding": {"logo": {"file": "logo.png"}}}

    done = run(file)

    assert done.out.startswith("~ branding\n    logo: changed\n")
    assert bytes(Branding.objects.get().logo) == pictures.png()
    assert run(file).out == "No changes needed.\n"
    current.forget()


def test_the_record_has_the_digest_of_the_file_and_one_audit_row(run: Run, tmp_path: Path) -> None:
    run({"groups": [{"name": "a"}]})

    content = (tmp_path / "gatehouse.yaml").read_bytes()
    kept = AppliedConfiguration.objects.get()
    assert kept.digest == hashlib.sha256(content).hexdigest()
    assert kept.objects_applied == [
        ["groups", "a", str(Group.objects.get().pk), True, {"name": "a"}]
    ]
    event = AuditEvent.objects.get(action="instance:configuration:apply")
    assert event.detail == {
        "digest": kept.digest[:12], "created": 1, "changed": 0, "removed": 0,
    }  # fmt: skip


def test_json_is_applied_as_well(run: Run) -> None:
    done = run({"groups": [{"name": "a"}]}, name="gatehouse.json")

    assert (done.code, Group.objects.get().name) == (0, "a")
