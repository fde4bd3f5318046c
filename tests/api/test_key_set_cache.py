"""The key set that a process caches, used by several threads."""

from typing import Any

import pytest

from api.tokens.signing_keys import AccessKeys, KeySetCache

pytestmark = pytest.mark.django_db


class _Beside(KeySetCache):
    """Another thread forgets between one's look at the time and that at the ring."""

    is_armed = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name == "_read_at" and self.is_armed:
            self.is_armed = False
            self.forget()
        return found


def test_a_reader_gets_no_empty_key_set_while_the_cache_is_cleared() -> None:
    AccessKeys().signer()
    cache = _Beside()
    before = cache.get()
    cache.is_armed = True

    assert cache.get() == before
    assert len(before.keys) == 1
    assert not cache.is_armed
