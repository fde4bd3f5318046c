"""The app `mfa`: authenticator apps, passkeys, recovery codes, trusted browsers."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MfaConfig(AppConfig):
    name = "mfa"
    verbose_name = _("Second factors")
