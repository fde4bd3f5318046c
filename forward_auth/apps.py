"""Checks for reverse proxies: may this request pass?"""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from core.lazy import LazyFunction


class ForwardAuthConfig(AppConfig):
    name = "forward_auth"
    verbose_name = _("Forward auth")

    def ready(self) -> None:
        """Say which rules depend on a group.

        Keep the refusals of sign-ins to apps beside those of requests.
        """
        add_group_use = import_string("accounts.services.groups.uses.add_group_use")
        add_group_use(LazyFunction("forward_auth.services.rules.uses_of_group"))
        set_recorder = import_string("applications.refusals.set_recorder")
        set_recorder(LazyFunction("forward_auth.services.denials.note_refused_sign_in"))
