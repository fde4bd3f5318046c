"""What other sites ask: may this request pass?"""

from collections.abc import Callable

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class SsoConfig(AppConfig):
    name = "forward_auth"
    verbose_name = _("Forward auth")

    def ready(self) -> None:
        """Notice what changes who may pass."""
        install: Callable[[], None] = import_string("forward_auth.change_tracking.install")
        install()
