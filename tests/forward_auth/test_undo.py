"""Taking back changes of access rules: contents, places, and what refuses it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from accounts.services.undo import find_event, undo
from applications.models import App
from applications.services import apps
from audit import audit_log
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden, RecordInvalid
from forward_auth.models import AccessRule
from forward_auth.services import rules

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(owner: User) -> list[AccessRule]:
    return [make(owner, name) for name in ("a", "b", "c")]


def make(actor: User, name: str, **fields: Any) -> AccessRule:
    values = {"effect": "role", "role": "editor", "host": f"{name}.example.com"} | fields
    return rules.create_rule(actor=actor, rule=AccessRule(name=name, **values))


def table() -> list[tuple[Any, ...]]:
    """Every rule in order, with its id and all its values."""
    return [(row.pk, *rules.values_of(row).items()) for row in AccessRule.objects.all()]


def last() -> AuditEvent:
    found = find_event(AuditEvent.objects.latest("seq").seq)
    assert found is not None
    return found


def refusal(event: AuditEvent, actor: User) -> str:
    before = table()
    with pytest.raises(CannotUndo) as error:
        undo(actor=actor, event=event)
    assert table() == before
    return str(error.value)


def wiki(actor: User) -> App:
    """The one app."""
    app = App(name="Wiki", url="https://wiki.example.com")
    return App.objects.first() or apps.create_app(actor=actor, app=app)


def delete_of_app(actor: User) -> None:
    """A rule of an app that was there before is deleted."""
    rules.delete_rule(actor=actor, rule=AccessRule.objects.get(name="of the app"))


Change = Callable[[User, list[AccessRule]], object]
CHANGES: dict[str, Change] = {
    "created": lambda actor, _three: make(actor, "d", networks=["10.0.0.0/8"], methods=["GET"]),
    "changed": lambda actor, three: rules.edit_rule(
        actor=actor, rule=three[1], changes={"path": "/x", "methods": ["GET"], "role": "viewer"}
    ),
    "switched off": lambda actor, three: rules.set_rule_enabled(
        actor=actor, rule=three[1], is_enabled=False
    ),
    "given to an app": lambda actor, three: rules.edit_rule(
        actor=actor, rule=three[1], changes={"app_id": wiki(actor).pk}
    ),
    "deleted with an app": lambda actor, three: delete_of_app(actor),
    "deleted": lambda actor, three: rules.delete_rule(actor=actor, rule=three[1]),
    "first deleted": lambda actor, three: rules.delete_rule(actor=actor, rule=three[0]),
    "moved": lambda actor, three: rules.move_rule_to(actor=actor, rule=three[2], position=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_taken_back_and_the_undo_too(
    owner: User, three: list[AccessRule], name: str
) -> None:
    make(owner, "of the app", app=wiki(owner), host="wiki.example.com")
    before = table()
    CHANGES[name](owner, three)
    after, event = table(), last()
    assert after != before

    done = undo(actor=owner, event=event)

    assert table() == before
    assert (done.undoes, done.actor_id, done.target_id) == (event.seq, owner.pk, event.target_id)
    undo(actor=owner, event=last())
    assert table() == after
    undo(actor=owner, event=last())
    assert table() == before
    assert audit_log.verify().broken_at is None


@pytest.mark.parametrize("name", CHANGES)
def test_only_owners_undo_changes_of_rules(
    owner: User, admin: User, three: list[AccessRule], name: str
) -> None:
    make(owner, "of the app", app=wiki(owner), host="wiki.example.com")
    CHANGES[name](owner, three)
    after, event = table(), last()

    with pytest.raises(Forbidden, match="Only owners change rules"):
        undo(actor=admin, event=event)
    assert table() == after


def test_a_rule_that_changed_since_is_left_alone(owner: User, three: list[AccessRule]) -> None:
    rules.edit_rule(actor=owner, rule=three[1], changes={"path": "/x"})
    event = last()
    made = AuditEvent.objects.get(action="sso:rule:create", target_id=three[1].pk)
    rules.edit_rule(actor=owner, rule=three[1], changes={"name": "other"})

    for each in (event, made):
        reason = refusal(each, owner)
        assert reason.startswith("It was changed again on ")
        assert "Olga Owner changed the access rule “other” from name: b to name: other." in reason
    rules.delete_rule(actor=owner, rule=three[1])
    assert "deleted the access rule" in refusal(event, owner)


def test_a_rule_comes_back_to_its_place_or_not_at_all(owner: User, three: list[AccessRule]) -> None:
    rules.delete_rule(actor=owner, rule=three[1])
    event = last()
    make(owner, "d")
    rules.move_rule_to(actor=owner, rule=three[2], position=1)

    assert "moved the access rule “c”" in refusal(event, owner)
    undo(actor=owner, event=last())
    undo(actor=owner, event=event)
    assert list(AccessRule.objects.values_list("name", flat=True)) == ["a", "b", "c", "d"]


def test_two_deleted_rules_come_back_in_reverse_order(owner: User, three: list[AccessRule]) -> None:
    before = table()
    rules.delete_rule(actor=owner, rule=three[0])
    first = last()
    rules.delete_rule(actor=owner, rule=three[1])
    second = last()

    assert "deleted the access rule “b”" in refusal(first, owner)
    undo(actor=owner, event=second)
    undo(actor=owner, event=first)

    assert table() == before


def test_a_move_is_not_undone_after_another(owner: User, three: list[AccessRule]) -> None:
    rules.move_rule_to(actor=owner, rule=three[2], position=1)
    event = last()
    rules.delete_rule(actor=owner, rule=three[0])

    assert "deleted the access rule “a”" in refusal(event, owner)


def test_a_rule_that_changed_without_an_entry_is_left_alone(
    owner: User, three: list[AccessRule]
) -> None:
    rules.edit_rule(actor=owner, rule=three[1], changes={"path": "/x"})
    AccessRule.objects.filter(pk=three[1].pk).update(path="/y")

    assert refusal(last(), owner) == "The rule is no longer as this change left it."


def test_too_many_rules_refuse_one_more(
    owner: User, three: list[AccessRule], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules.delete_rule(actor=owner, rule=three[1])
    monkeypatch.setattr(rules, "MAX_RULES", 2)

    with pytest.raises(RecordInvalid, match="too many rules"):
        undo(actor=owner, event=last())
    assert AccessRule.objects.count() == 2


def test_a_rule_does_not_come_back_before_one_that_was_inserted(
    owner: User, three: list[AccessRule]
) -> None:
    make(owner, "everything", effect="deny", host="")
    rules.delete_rule(actor=owner, rule=three[1])
    event, new = last(), AccessRule(name="new", effect="public", host="b.example.com")
    with transaction.atomic():
        rules.store_new_rules(actor=owner, rules=[new])
        rules.record_new_rules(actor=owner, rules=[new])

    assert "made the access rule “new”" in refusal(event, owner)
    undo(actor=owner, event=last())
    undo(actor=owner, event=event)
    assert list(AccessRule.objects.values_list("name", flat=True)) == ["a", "b", "c", "everything"]


def test_a_rule_of_an_app_that_is_gone_does_not_come_back(
    owner: User, three: list[AccessRule]
) -> None:
    app = wiki(owner)
    rule = make(owner, "of the app", app=app, host="wiki.example.com")
    rules.delete_rule(actor=owner, rule=rule)
    event = last()
    assert (event.detail["before"]["app_id"], event.detail["before"]["app"]) == (
        str(app.pk),
        "Wiki",
    )
    apps.delete_app(actor=owner, app=app)

    with pytest.raises(RecordInvalid, match="There is no such app"):
        undo(actor=owner, event=event)
    assert AccessRule.objects.count() == 3
