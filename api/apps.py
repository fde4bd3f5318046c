"""App configuration of the REST API."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from accounts.signals import access_ending
from core.lazy import LazyFunction


class ApiConfig(AppConfig):
    """REST API, tokens, signing keys and API keys."""

    name = "api"
    verbose_name = _("API")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register API keys as owned rows; end keys and tokens with the access of their user."""
        for name in ("tokens.refresh_tokens.newest_family", "apikeys.services.newest_key"):
            access_ending.connect(
                LazyFunction(f"api.{name}"), dispatch_uid=f"api.{name}", weak=False
            )
        import_string("accounts.ownership.register_owned")("api.ApiKey", field="user")
