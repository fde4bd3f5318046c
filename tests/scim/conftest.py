"""Fixtures of SCIM tests."""

import pytest

from accounts.models import User
from tests.scim.client import ScimClient, client_of


@pytest.fixture
def scim(admin: User) -> ScimClient:
    """A client with a key of an administrator."""
    return client_of(admin)
