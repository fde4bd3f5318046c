"""The app `federation`: sign-in through external providers and through LDAP."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FederationConfig(AppConfig):
    name = "federation"
    verbose_name = _("Sign-in providers")

    def ready(self) -> None:
        """Say which settings map to a group."""
        uses = import_module("accounts.services.groups.uses")
        uses.add_group_use(import_module("federation.services.groups").settings_with)
