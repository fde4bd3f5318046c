"""The composition root as a Django app: commands, the cache's table, start-up of the worker."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from config.contenttype import forget_unknown_encodings


class ConfigApp(AppConfig):
    name = "config"
    verbose_name = "Gatehouse"

    def ready(self) -> None:
        """Let every app register its tables and actions in the admin panel."""
        forget_unknown_encodings()
        autodiscover_modules("admin")
