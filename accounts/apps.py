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
        """Register the system checks and reversals of every app; sign_in() writes last_login."""
        autodiscover_modules("checks", "undo")
        import_module("accounts.undo.own_reversals")
        import_module("accounts.undo.group_reversals")
        user_logged_in.disconnect(dispatch_uid="update_last_login")
