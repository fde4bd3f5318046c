"""The apps that people open: what access rules, the launcher and OpenID clients refer to."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class ApplicationsConfig(AppConfig):
    name = "applications"
    verbose_name = _("Apps")

    def ready(self) -> None:
        """Say which apps depend on a group."""
        add_group_use = import_string("accounts.services.groups.uses.add_group_use")
        add_group_use(LazyFunction("applications.services.apps.uses_of_group"))
