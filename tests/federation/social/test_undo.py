"""Taking back the switch of a provider."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from accounts.services.undo import find_event, undo
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden
from federation.models import ExternalIdentity, PausedProvider
from federation.services.switching import LocksOwnersOut, switch_off, switch_on

pytestmark = pytest.mark.django_db


def last() -> AuditEvent:
    found = find_event(AuditEvent.objects.latest("seq").seq)
    assert found is not None
    return found


def paused() -> list[str]:
    return sorted(PausedProvider.objects.values_list("pk", flat=True))


def test_a_switch_is_taken_back_and_the_undo_too(offer: Any, owner: User) -> None:
    offer("google", "github")
    switch_off(actor=owner, provider_id="google")
    switch_off(actor=owner, provider_id="github")
    event = AuditEvent.objects.get(detail__provider="google")

    undo(actor=owner, event=event)

    assert paused() == ["github"]
    undo(actor=owner, event=last())
    assert paused() == ["github", "google"]


def test_a_switch_since_refuses_it(offer: Any, owner: User) -> None:
    offer("google")
    switch_off(actor=owner, provider_id="google")
    event = last()
    switch_on(actor=owner, provider_id="google")

    with pytest.raises(CannotUndo, match="It was changed again on"):
        undo(actor=owner, event=event)
    PausedProvider.objects.create(provider="google")
    with pytest.raises(CannotUndo, match="no longer as this change left it"):
        undo(actor=owner, event=last())
    assert paused() == ["google"]


def test_only_owners_undo_a_switch(offer: Any, owner: User, admin: User) -> None:
    offer("google")
    switch_off(actor=owner, provider_id="google")

    with pytest.raises(Forbidden, match="Only owners may switch"):
        undo(actor=admin, event=last())
    assert paused() == ["google"]


def test_no_owner_loses_their_last_way_in(
    offer: Any, owner: User, make_user: Callable[..., User]
) -> None:
    offer("google")
    switch_off(actor=owner, provider_id="google")
    switch_on(actor=owner, provider_id="google")
    bare = make_user("owner", email="bare@example.com", password=None)
    ExternalIdentity.objects.create(user=bare, provider="google", subject="g-9")

    with pytest.raises(LocksOwnersOut):
        undo(actor=owner, event=last())
    assert paused() == []
