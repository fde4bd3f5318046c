"""The app `moderation`: limits, violations, scores and bans."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from accounts.signals import limit_exceeded
from core.lazy import LazyFunction


class ModerationConfig(AppConfig):
    """Scores exceeded limits. Its access checks keep banned users and networks out."""

    name = "moderation"
    verbose_name = _("Moderation")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the handler that scores exceeded limits."""
        limit_exceeded.connect(
            LazyFunction("moderation.signal_handlers.score_exceeded_limit"),
            dispatch_uid="moderation.score_exceeded_limit",
            weak=False,
        )
