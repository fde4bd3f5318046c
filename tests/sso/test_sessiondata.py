"""What the short way reads of a session is what Django reads."""

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from accounts.sessions import SessionStore
from sso.sessiondata import decoded, state_hash

CONTENT = st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.text(min_size=300))


@given(CONTENT)
def test_a_session_is_read_as_django_reads_it(content: dict[str, object]) -> None:
    text = SessionStore().encode(content)

    assert decoded(text) == SessionStore().decode(text) == content


@pytest.mark.parametrize(
    "text", ["", ":", "::", ".:a:b", "é", "a" * 9000, "e30:1xUmgk:" + "A" * 43]
)
def test_what_nobody_signed_is_an_empty_session(text: str) -> None:
    assert decoded(text) == SessionStore().decode(text) == {}


def test_content_of_another_session_does_not_fit_a_signature() -> None:
    first, second = (SessionStore().encode({"n": number}) for number in range(2))

    assert decoded(first.partition(":")[0] + second[second.index(":") :]) == {}


def test_the_state_of_a_person_is_bound_as_the_model_binds_it() -> None:
    user = User(password="a$b$c", not_before=timezone.now())

    assert state_hash(user.password, user.not_before) == user.get_session_auth_hash()
