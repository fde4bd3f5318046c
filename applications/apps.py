"""The apps that people open: what access rules, the launcher and OpenID clients refer to."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApplicationsConfig(AppConfig):
    name = "applications"
    verbose_name = _("Apps")
