"""Every path of the site. Handlers for errors are in config.error_views."""

from django.http import HttpResponse
from django.urls import include, path
from django.utils.module_loading import autodiscover_modules
from django.views.decorators.http import require_safe
from django.views.i18n import set_language

from accounts.admin.site import site
from api.views import jwks
from config import monitoring
from oidc_provider.views import metadata

handler400 = "config.error_views.bad_request"
handler403 = "config.error_views.forbidden"
handler404 = "config.error_views.not_found"
handler500 = "config.error_views.server_error"


@require_safe
def robots(_request: object) -> HttpResponse:
    """Search engines index no page."""
    return HttpResponse("User-agent: *\nDisallow: /\n", content_type="text/plain")


# Every app registers its tables and actions in the admin. Commands, which have no pages, do not
# need to wait for it.
autodiscover_modules("admin")

urlpatterns = [
    path("health/live", monitoring.live, name="health-live"),
    path("health/ready", monitoring.ready, name="health-ready"),
    path("metrics", monitoring.metrics, name="metrics"),
    path("robots.txt", robots),
    path("language", set_language, name="set_language"),
    path("admin/", site.urls),
    path("api/v1/", include("api.urls")),
    path("api/v1/", include("applications.api.urls")),
    path("api/v1/", include("forward_auth.api.urls")),
    path("api/v1/", include("oidc_provider.api.urls")),
    path("api/v1/", include("webhooks.api.urls")),
    path("api/v1/", include("access_reviews.api.urls")),
    path("scim/v2/", include("scim.urls")),
    path(".well-known/openid-configuration", metadata.discovery, name="openid-configuration"),
    path(
        ".well-known/oauth-authorization-server",
        metadata.discovery,
        name="oauth-authorization-server",
    ),
    path(".well-known/jwks.json", jwks.key_set, name="jwks"),
    path("account/keys", include("api.views.page_urls")),
    path("account/service-accounts", include("api.views.service_account_urls")),
    path("branding/", include("core.branding.urls")),
    path("", include("magiclinks.urls")),
    path("", include("moderation.urls")),
    path("", include("forward_auth.urls")),
    path("", include("oidc_provider.urls")),
    path("", include("mfa.urls")),
    path("", include("federation.urls")),
    path("", include("accounts.urls")),
]
