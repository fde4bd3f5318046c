"""App configuration of SCIM."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScimConfig(AppConfig):
    """Identity systems provision accounts and groups: RFC 7643 and RFC 7644."""

    name = "scim"
    verbose_name = _("Provisioning")
