"""The apps that people open: what access rules, the launcher and OpenID clients refer to."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApplicationsConfig(AppConfig):
    name = "applications"
    verbose_name = _("Apps")

    def ready(self) -> None:
        """Say which apps depend on a group."""
        uses = import_module("accounts.services.groups.uses")
        uses.add_group_use(import_module("applications.services.apps").uses_of_group)
