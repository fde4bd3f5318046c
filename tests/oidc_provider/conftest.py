"""Fixtures of the tests of the OpenID provider."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from tests.oidc_provider.relying_party import RelyingParty, make_client


@pytest.fixture
def party(db: None) -> RelyingParty:
    """A trusted single-page app."""
    return RelyingParty(make_client())


@pytest.fixture
def browser(viewer: User, browser_of: Callable[[User], Client]) -> Client:
    """A browser in which the viewer has signed in by password."""
    return browser_of(viewer)
