"""App configuration of the OpenID provider."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from accounts.signals import access_ending


class OidcProviderConfig(AppConfig):
    """Apps of the team sign people in here: OpenID Connect Core 1.0 and OAuth 2.0."""

    name = "oidc_provider"
    verbose_name = _("OpenID Connect")

    def ready(self) -> None:
        """End codes and tokens with the access of their user; sign as apps have chosen.

        Let apps ask about their tokens, and tell them of sign-outs.
        """
        add_reader = import_string("applications.services.introspection.add_reader")
        add_reader(import_string("oidc_provider.services.introspection.read_openid_token"))
        add_algorithms = import_string("api.tokens.signing_keys.add_algorithms")
        add_algorithms(import_string("oidc_provider.signing.algorithms_of_apps"))
        add_detour = import_string("accounts.sign_in.detours.add_detour")
        add_detour(import_string("oidc_provider.views.signed_out.detour"))
        access_ending.connect(
            import_string("oidc_provider.services.logout_notices.queue_all_of_user"),
            dispatch_uid="oidc_provider.logout",
        )
        access_ending.connect(
            import_string("oidc_provider.services.grants.newest_credential"),
            dispatch_uid="oidc_provider",
        )
