"""The mode without sign-in, switched during a test as a restart with other settings does."""

from pytest_django.fixtures import Settings

from accounts.actors import ANONYMOUS_ID
from accounts.models import User
from accounts.roles import Role
from accounts.services.anonymous import sync_anonymous_user


def switch_on(settings: Settings, role: Role = Role.EDITOR) -> User:
    """As a start with ANONYMOUS_MODE=true; the anonymous user."""
    settings.ANONYMOUS_ROLE, settings.ANONYMOUS_SETTINGS = role, ("ANONYMOUS_MODE=true",)
    sync_anonymous_user()
    return User.all_objects.get(pk=ANONYMOUS_ID)


def switch_off(settings: Settings) -> None:
    """As a start without it."""
    settings.ANONYMOUS_ROLE, settings.ANONYMOUS_SETTINGS = None, ()
    sync_anonymous_user()
