"""App configuration of SCIM."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class ScimConfig(AppConfig):
    """Identity systems provision accounts and groups: RFC 7643 and RFC 7644."""

    name = "scim"
    verbose_name = _("Provisioning")

    def ready(self) -> None:
        """Say which groups make administrators."""
        add_group_use = import_string("accounts.services.groups.uses.add_group_use")
        add_group_use(LazyFunction("scim.services.roles.settings_with"))
