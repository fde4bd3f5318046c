"""Accounts: users, their roles, and whether they may act now."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.module_loading import autodiscover_modules, import_string
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        """Register checks and what depends on a group; sign_in() writes last_login."""
        autodiscover_modules("system_checks")
        add_group_use = import_string("accounts.services.groups.uses.add_group_use")
        add_group_use(LazyFunction("accounts.services.service_accounts.uses_of_group"))
        user_logged_in.disconnect(dispatch_uid="update_last_login")
