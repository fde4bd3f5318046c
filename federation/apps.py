"""The app `federation`: sign-in through external providers and through LDAP."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FederationConfig(AppConfig):
    name = "federation"
    verbose_name = _("Sign-in providers")
