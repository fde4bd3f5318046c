"""The app `api`: the machine face of the house."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    """REST API, tokens, signing keys and API keys."""

    name = "api"
    verbose_name = _("API")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """API keys change hands with what else somebody owns."""
        import_string("accounts.ownership.register_owned")("api.ApiKey", field="user")
