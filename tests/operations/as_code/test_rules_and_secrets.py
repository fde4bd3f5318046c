"""The order of access rules, and secrets that are kept elsewhere."""

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.actors import SYSTEM
from accounts.models import Group
from accounts.services.groups.changes import delete_group
from applications.models import App, AppSecret
from applications.services.secrets import app_of_credentials, create_secret
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from tests.operations.as_code.conftest import HOOK, WIKI, Done, command, rule
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import secrets_of

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]
SECRET, OTHER_SECRET = "the-secret-that-the-wiki-has", "the-next-secret-of-the-wiki"


def signing_secret(letter: str) -> str:
    return "whsec_" + base64.b64encode(letter.encode() * 32).decode()


def rules() -> list[str]:
    return [rule.name for rule in AccessRule.objects.order_by("position")]


def test_the_order_of_the_file_decides_and_others_keep_their_places(run: Run) -> None:
    for name in ("b", "hand", "a"):
        create_rule(actor=SYSTEM, rule=AccessRule(**rule(name)))
    create_rule(actor=SYSTEM, rule=AccessRule(name="rest", effect="deny"))

    done = run({"access_rules": [rule("a"), rule("new"), rule("b")]})

    # `new` stands where it is next to a neighbour of the file; then a, new and b share the places.
    assert rules() == ["a", "hand", "new", "b", "rest"]
    assert "~ access_rules\n    order: b, hand, a, rest -> a, hand, b, rest\n" in done.out
    assert run({"access_rules": [rule("a"), rule("new"), rule("b")]}).out == "No changes needed.\n"


def test_rules_of_one_name_are_told_apart_by_their_order(run: Run) -> None:
    first, second = rule("x", path="/a"), rule("x", path="/b")
    literal = rule("x (2)", host="")
    file = {"access_rules": [first, second, literal]}

    assert run(file).out.endswith("Applied: 3 created, 0 changed, 0 removed.\n")
    assert run(file).out == "No changes needed.\n"
    assert run(command("export").out, "--plan").code == 0
    changed = run({"access_rules": [first, {**second, "role": "admin"}, literal]})

    assert changed.out.startswith("~ access_rules: x  (2)\n    role: viewer -> admin\n")
    assert list(AccessRule.objects.order_by("position").values_list("path", "role")) == [
        ("/a", "viewer"), ("/b", "admin"), ("", "viewer"),
    ]  # fmt: skip


def test_new_rules_stand_before_one_that_matches_everything(run: Run) -> None:
    create_rule(actor=SYSTEM, rule=AccessRule(**rule("hand")))
    create_rule(actor=SYSTEM, rule=AccessRule(name="rest", effect="deny"))

    run({"access_rules": [rule("a"), rule("b")]})

    assert rules() == ["hand", "a", "b", "rest"]


def test_a_deleted_group_leaves_its_rule_and_app_closed(run: Run) -> None:
    run({"groups": [{"name": "lab"}], "access_rules": [rule("a", groups=["lab"])],
         "apps": [{**WIKI, "openid_groups": ["lab"]}]})  # fmt: skip
    group = Group.objects.get()
    delete_group(actor=SYSTEM, group=group, confirmed=True)

    exported = command("export").out
    assert run(exported, "--plan").code == 0
    refused = run({"access_rules": [rule("a", groups=["lab"])]})

    assert str(group.pk) in exported
    assert "access_rules[0].groups[0]: there is no group of this name" in refused.problems
    assert AccessRule.objects.get().group_ids == [str(group.pk)]


def test_a_secret_is_compared_and_replaced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    file = {"apps": [{**WIKI, "client_id": "wiki", "client_secret": {"env": "WIKI_SECRET"}}]}
    monkeypatch.setenv("WIKI_SECRET", SECRET)
    run(file)
    monkeypatch.setenv("WIKI_SECRET", OTHER_SECRET)

    plan, done = run(file, "--plan"), run(file)

    assert plan.out.splitlines() == [
        "~ apps: wiki",
        "    client_secret: changed",
        "Plan: 0 to create, 1 to change, 0 to remove.",
    ]
    assert (done.code, run(file).out) == (0, "No changes needed.\n")
    # The app is given the new one while it still uses the old one.
    assert app_of_credentials("wiki", SECRET) is not None
    assert app_of_credentials("wiki", OTHER_SECRET) is not None
    assert [row.expires_at is None for row in AppSecret.objects.order_by("pk")] == [False, True]
    assert AuditEvent.objects.filter(action="sso:app:secret-import").count() == 2


def test_a_secret_that_was_replaced_elsewhere_does_not_come_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {"apps": [{**WIKI, "client_secret": {"env": "WIKI_SECRET"}}]}
    monkeypatch.setenv("WIKI_SECRET", SECRET)
    run(file)
    app = App.objects.get()
    create_secret(actor=SYSTEM, app=app, overlap=timedelta())

    done = run(file)

    assert "apps[0].client_secret: This secret has been replaced or revoked." in done.problems
    assert app_of_credentials(app.client_id, SECRET) is None


def test_the_secret_of_a_webhook_is_compared_and_rotated(run: Run, tmp_path: Path) -> None:
    file = {"webhooks": [{**HOOK, "secret": {"file": "hook.secret"}}]}
    kept = tmp_path / "hook.secret"
    kept.write_text(signing_secret("a"))
    run(file)
    assert run(file).out == "No changes needed.\n"
    kept.write_text(signing_secret("b"))

    done = run(file)

    assert done.out.startswith("~ webhooks: Chat\n    secret: changed\n")
    assert secrets_of(WebhookEndpoint.objects.get()) == [signing_secret("b"), signing_secret("a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("short", "Choose a secret of 24 to 64 bytes in base64"),
        ("", "this file is empty"),
        ("two\nlines", "what it refers to is not one line of text"),
        ("x" * 300_000, "this file is too large"),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_without_its_text(
    run: Run, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "hook.secret").write_text(content)

    done = run({"webhooks": [{**HOOK, "secret": {"file": "hook.secret"}}]})

    assert f"webhooks[0].secret: {message}" in done.problems
    assert not content or content not in done.problems
    assert not WebhookEndpoint.objects.exists()


def test_a_public_client_keeps_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKI_SECRET", SECRET)

    done = run({"apps": [{**WIKI, "openid_kind": "spa", "client_secret": {"env": "WIKI_SECRET"}}]})

    assert "apps[0].client_secret: an app of this kind keeps no secret" in done.problems
    assert not AppSecret.objects.exists()


def test_a_client_id_never_changes(run: Run) -> None:
    run({"apps": [{**WIKI, "client_id": "wiki"}]})

    done = run({"apps": [{**WIKI, "client_id": "wiki-2"}]})

    assert "apps[0].client_id: the client id of an app never changes" in done.problems
