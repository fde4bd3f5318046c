"""App configuration of the OpenID provider."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from accounts.signals import access_ending
from core.lazy import LazyFunction


class OidcProviderConfig(AppConfig):
    """Apps of the team sign people in here: OpenID Connect Core 1.0 and OAuth 2.0."""

    name = "oidc_provider"
    verbose_name = _("OpenID Connect")

    def ready(self) -> None:
        """End codes and tokens with the access of their user; sign as apps have chosen.

        Tell apps of sign-outs.
        """
        add_algorithms = import_string("api.tokens.algorithms.add_algorithms")
        add_algorithms(LazyFunction("oidc_provider.signing.algorithms_of_apps"))
        add_detour = import_string("accounts.sign_in.detours.add_detour")
        add_detour(LazyFunction("oidc_provider.views.signed_out.detour"))
        access_ending.connect(
            LazyFunction("oidc_provider.services.logout_notices.queue_all_of_user"),
            dispatch_uid="oidc_provider.logout",
            weak=False,
        )
        access_ending.connect(
            LazyFunction("oidc_provider.services.grants.newest_credential"),
            dispatch_uid="oidc_provider",
            weak=False,
        )
