"""The app `federation`: sign-in through external providers and through LDAP."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class FederationConfig(AppConfig):
    name = "federation"
    verbose_name = _("Sign-in providers")

    def ready(self) -> None:
        """Say which settings map to a group."""
        add_group_use = import_string("accounts.services.groups.uses.add_group_use")
        add_group_use(LazyFunction("federation.services.groups.settings_with"))
