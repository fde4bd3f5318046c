"""Checks for reverse proxies: may this request pass?"""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ForwardAuthConfig(AppConfig):
    name = "forward_auth"
    verbose_name = _("Forward auth")

    def ready(self) -> None:
        """Say which rules depend on a group; let apps ask about the cookie for other hosts.

        Keep the refusals of sign-ins to apps beside those of requests.
        """
        uses = import_module("accounts.services.groups.uses")
        uses.add_group_use(import_module("forward_auth.services.rules").uses_of_group)
        add_reader = import_module("applications.services.introspection").add_reader
        add_reader(import_module("forward_auth.services.cookies").read_cookie)
        refusals, denials = (
            import_module(name)
            for name in ("applications.refusals", "forward_auth.services.denials")
        )
        refusals.set_recorder(denials.note_refused_sign_in)
