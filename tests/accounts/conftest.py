"""Fixtures of the tests of accounts."""

import pytest

from accounts.models import User
from accounts.services.invitations import IssuedInvitation, invite
from tests.accounts.invitation_helpers import EMAIL


@pytest.fixture
def invited(owner: User) -> IssuedInvitation:
    """An invitation by the owner, to the role editor."""
    return invite(actor=owner, email=EMAIL, role="editor")
