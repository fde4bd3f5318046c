"""What the short way binds a session to is what Django does."""

from datetime import UTC, datetime

import pytest

from accounts.models import User
from forward_auth.session_hash import state_hash

MARK = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("not_before", [MARK, MARK.replace(microsecond=45)])
def test_the_state_of_a_person_is_bound_as_the_model_binds_it(not_before: datetime) -> None:
    user = User(password="a$b$c", not_before=not_before)
    as_sqlite_keeps_it = str(not_before.replace(tzinfo=None))

    assert state_hash(user.password, not_before) == user.get_session_auth_hash()
    assert state_hash(user.password, as_sqlite_keeps_it) == user.get_session_auth_hash()
