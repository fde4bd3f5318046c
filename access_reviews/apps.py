"""App configuration of access reviews."""

from django.apps import AppConfig
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class AccessReviewsConfig(AppConfig):
    """Lists of people whose access administrators confirm or take away."""

    name = "access_reviews"
    verbose_name = _("Access reviews")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the items of a deleted account forget what was written about the person."""
        pre_delete.connect(
            LazyFunction("access_reviews.services.deletion.forget_person"),
            sender="accounts.User",
            dispatch_uid="access_reviews",
            weak=False,
        )
