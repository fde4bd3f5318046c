"""App configuration of SCIM."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScimConfig(AppConfig):
    """Identity systems provision accounts and groups: RFC 7643 and RFC 7644."""

    name = "scim"
    verbose_name = _("Provisioning")

    def ready(self) -> None:
        """Say which groups make administrators."""
        uses = import_module("accounts.services.groups.uses")
        uses.add_group_use(import_module("scim.services.roles").settings_with)
