"""Checks for reverse proxies: may this request pass?"""

from collections.abc import Callable

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class ForwardAuthConfig(AppConfig):
    name = "forward_auth"
    verbose_name = _("Forward auth")

    def ready(self) -> None:
        """Watch for changes of the tables that checks read."""
        path = "forward_auth.invalidation.postgresql.track_changes"
        install: Callable[[], None] = import_string(path)
        install()
