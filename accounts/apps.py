"""Accounts: users, their roles, and whether they may act now."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        """Register checks, reversals and what depends on a group; sign_in() writes last_login."""
        autodiscover_modules("system_checks", "undo")
        import_module("accounts.undo.own_reversals")
        import_module("accounts.undo.group_reversals")
        uses = import_module("accounts.services.groups.uses")
        service_accounts = import_module("accounts.services.service_accounts")
        uses.add_group_use(service_accounts.uses_of_group)
        user_logged_in.disconnect(dispatch_uid="update_last_login")
