"""The fast path binds a session to the same values as Django."""

from datetime import UTC, datetime

import pytest

from accounts.models import User
from forward_auth.authentication import session_hash

MOMENT = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("credentials_valid_from", [MOMENT, MOMENT.replace(microsecond=45)])
def test_the_session_hash_equals_that_of_the_model(
    credentials_valid_from: datetime,
) -> None:
    user = User(password="a$b$c", credentials_valid_from=credentials_valid_from)
    as_sqlite_keeps_it = str(credentials_valid_from.replace(tzinfo=None))

    assert session_hash(user.password, credentials_valid_from) == user.get_session_auth_hash()
    assert session_hash(user.password, as_sqlite_keeps_it) == user.get_session_auth_hash()
