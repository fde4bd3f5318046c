"""Taking back changes of apps."""

import pytest

from accounts.models import User
from accounts.services.undo import find_event, undo
from applications.models import App
from applications.services import apps
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden

pytestmark = pytest.mark.django_db


def wiki(owner: User) -> App:
    return apps.create_app(actor=owner, app=App(name="Wiki", url="https://wiki.example.com"))


def last() -> AuditEvent:
    found = find_event(AuditEvent.objects.latest("seq").seq)
    assert found is not None
    return found


def values() -> list[dict[str, object]]:
    return list(App.objects.order_by("pk").values())


def test_a_change_is_taken_back_and_the_undo_too(owner: User) -> None:
    app = wiki(owner)
    before = values()
    changes = {"url": "https://other.example.com/w", "is_listed": False, "position": 7}
    apps.edit_app(actor=owner, app=app, changes=changes)
    after = values()

    done = undo(actor=owner, event=last())

    assert values() == before
    assert (done.actor_id, done.target_id) == (owner.pk, app.pk)
    undo(actor=owner, event=last())
    assert values() == after


def test_only_owners_undo_changes_of_apps(owner: User, admin: User) -> None:
    apps.edit_app(actor=owner, app=wiki(owner), changes={"name": "x"})
    after = values()

    with pytest.raises(Forbidden, match="Only owners change apps"):
        undo(actor=admin, event=last())
    assert values() == after


def test_an_app_that_changed_since_or_is_gone_is_left_alone(owner: User) -> None:
    app = wiki(owner)
    apps.edit_app(actor=owner, app=app, changes={"name": "x"})
    event = last()
    App.objects.update(name="y")
    with pytest.raises(CannotUndo, match="no longer as this change left it"):
        undo(actor=owner, event=event)
    apps.edit_app(actor=owner, app=app, changes={"description": "z"})
    with pytest.raises(CannotUndo, match="It was changed again on"):
        undo(actor=owner, event=event)
    assert App.objects.get().name == "y"

    apps.delete_app(actor=owner, app=app)

    with pytest.raises(CannotUndo, match="deleted the app"):
        undo(actor=owner, event=event)
    with pytest.raises(CannotUndo, match="because its access rules no longer refer to it"):
        undo(actor=owner, event=last())
    assert not App.objects.exists()
