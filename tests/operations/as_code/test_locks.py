"""Accounts of the file are locked first, also those that get one of its addresses meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import create_user
from audit.models import AuditEvent
from operations.as_code import apply
from tests.operations.as_code.conftest import Done

pytestmark = pytest.mark.django_db
Run = Callable[..., Done]
FILE = {
    "groups": [{"name": "staff"}],
    "people": [{"email": "anna@example.com", "groups": ["staff"]}],
    "service_accounts": [{"username": "printer", "responsible": "anna@example.com"}],
}
Lock = Callable[..., set[Any]]


@pytest.fixture
def anna(db: None) -> User:
    return create_user(actor=SYSTEM, email="anna@example.com", verified=True)


def _groups(user: User) -> list[str]:
    return [name for name, _until in User.objects.get(pk=user.pk).all_memberships()]


def test_who_gets_an_address_of_the_file_before_the_locks_is_locked_too(
    run: Run, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look-up comes before their change, and finds nobody."""
    locked: list[set[Any]] = []
    lock: Lock = apply._lock

    def late(*arguments: Any) -> set[Any]:
        locked.append(lock(*arguments) if locked else set())
        return locked[-1]

    monkeypatch.setattr(apply, "_lock", late)

    done = run(FILE, "--yes")

    assert (done.code, done.problems) == (0, "")
    assert locked == [set(), {anna.pk}]
    assert _groups(anna) == ["staff"]
    assert AuditEvent.objects.filter(action="instance:configuration:apply").count() == 1


def test_accounts_that_never_stand_still_change_nothing(
    run: Run, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_lock", lambda *_arguments: set())

    done = run(FILE, "--yes")

    assert done.code == 1
    assert done.problems == (
        "Others are changing addresses of accounts in this file. Nothing has changed; repeat it."
    )
    assert _groups(anna) == []
    assert not AuditEvent.objects.filter(action="instance:configuration:apply").exists()
