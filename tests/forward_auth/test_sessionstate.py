"""What the short way binds a session to is what Django does."""

from datetime import UTC, datetime

import pytest

from accounts.models import User
from forward_auth.session_hash import state_hash

MARK = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("credentials_valid_from", [MARK, MARK.replace(microsecond=45)])
def test_the_state_of_a_person_is_bound_as_the_model_binds_it(
    credentials_valid_from: datetime,
) -> None:
    user = User(password="a$b$c", credentials_valid_from=credentials_valid_from)
    as_sqlite_keeps_it = str(credentials_valid_from.replace(tzinfo=None))

    assert state_hash(user.password, credentials_valid_from) == user.get_session_auth_hash()
    assert state_hash(user.password, as_sqlite_keeps_it) == user.get_session_auth_hash()
