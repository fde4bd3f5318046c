"""Magic links: sign-in with a single-use link."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from accounts.signals import access_ending
from core.lazy import LazyFunction


class MagicLinksConfig(AppConfig):
    name = "magiclinks"
    verbose_name = _("Sign-in links")

    def ready(self) -> None:
        """End links when the access of their user ends; see accounts.signals.access_ending."""
        access_ending.connect(
            LazyFunction("magiclinks.services.newest_link"),
            dispatch_uid="magiclinks.newest_link",
            weak=False,
        )
