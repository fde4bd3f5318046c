"""The app `core`: helpers without a domain of their own."""

from django.apps import AppConfig

from core.invalidation.postgresql import track_changes


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        """Watch for changes of the tables whose rows are cached."""
        track_changes()
