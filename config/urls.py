"""Every path of the site. Handlers for errors are in config.error_views.

Modules are named, not imported: Django imports one when a path below its prefix is asked for or any
URL is made, and config.pages loads all of them. Commands need none.
"""

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from django.views.i18n import set_language

from config import health

handler400 = "config.error_views.bad_request"
handler403 = "config.error_views.forbidden"
handler404 = "config.error_views.not_found"
handler500 = "config.error_views.server_error"


@require_safe
def robots(_request: object) -> HttpResponse:
    """Search engines index no page."""
    return HttpResponse("User-agent: *\nDisallow: /\n", content_type="text/plain")


def later(module: str, namespace: str | None = None) -> Any:  # the stubs know imported ones only
    """What include() returns for this module, without importing it. namespace: its `app_name`."""
    return module, namespace, namespace


urlpatterns = [
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", later("config.monitoring")),
    path("robots.txt", robots),
    path("language", set_language, name="set_language"),
    path("admin/", later("config.admin_urls", "admin")),
    path("api/v1/", later("api.urls", "api")),
    path("api/v1/", later("applications.api.urls", "applications_api")),
    path("api/v1/", later("forward_auth.api.urls", "forward_auth_api")),
    path("api/v1/", later("oidc_provider.api.urls", "oidc_provider_api")),
    path("api/v1/", later("webhooks.api.urls", "webhooks_api")),
    path("api/v1/", later("access_reviews.api.urls", "access_reviews_api")),
    path("scim/v2/", later("scim.urls", "scim")),
    path(".well-known/", later("config.well_known_urls")),
    path("account/keys", later("api.views.page_urls", "apikeys")),
    path("account/service-accounts", later("api.views.service_account_urls", "serviceaccounts")),
    path("branding/", later("core.branding.urls", "branding")),
    path("", later("magiclinks.urls", "magiclinks")),
    path("", later("moderation.urls", "moderation")),
    path("", later("forward_auth.urls", "forward_auth")),
    path("", later("oidc_provider.urls", "oidc_provider")),
    path("", later("mfa.urls", "mfa")),
    path("", later("federation.urls", "federation")),
    path("", later("accounts.urls")),
]
