"""Fixtures of the tests of second factors."""

import pytest
from django.conf import settings

from accounts.models import User
from tests.mfa.authenticator import App, set_up_app


@pytest.fixture(autouse=True)
def _external_sign_in_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the URLs of sign_in_methods.py to those of Gatehouse.

    Not by the fixture `settings`, which makes Django read all URLs again for each test.
    """
    monkeypatch.setattr(settings, "ROOT_URLCONF", "tests.mfa.sign_in_methods")


@pytest.fixture
def app(editor: User) -> App:
    """The authenticator app of `editor`."""
    return set_up_app(editor)
