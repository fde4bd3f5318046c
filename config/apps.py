"""The composition root as a Django app: commands and start-up."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from config.server.content_type import forget_unknown_encodings


class ConfigApp(AppConfig):
    name = "config"
    verbose_name = "Gatehouse"

    def ready(self) -> None:
        """Let every app register its tables and actions in the admin."""
        forget_unknown_encodings()
        autodiscover_modules("admin")
