"""The settings of an instance whose team adds an app with migrations that fail."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as STANDARD

INSTALLED_APPS = [*STANDARD, "tests.operations.broken_app"]
