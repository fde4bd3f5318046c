"""The composition root as a Django app: commands and start-up."""

from django.apps import AppConfig

from config.server.content_type import forget_unknown_encodings


class ConfigApp(AppConfig):
    name = "config"
    verbose_name = "Gatehouse"

    def ready(self) -> None:
        """Prepare what every request relies on."""
        forget_unknown_encodings()
