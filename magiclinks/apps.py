"""Magic links: sign-in by a link that works once."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MagicLinksConfig(AppConfig):
    name = "magiclinks"
    verbose_name = _("Sign-in links")
