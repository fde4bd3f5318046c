"""Checks for reverse proxies: may this request pass?"""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ForwardAuthConfig(AppConfig):
    name = "forward_auth"
    verbose_name = _("Forward auth")
