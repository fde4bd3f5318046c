"""What programs look for at fixed paths (RFC 8615)."""

from django.urls import path

from api.views import jwks
from oidc_provider.views import metadata

urlpatterns = [
    path("openid-configuration", metadata.discovery, name="openid-configuration"),
    path("oauth-authorization-server", metadata.discovery, name="oauth-authorization-server"),
    path("jwks.json", jwks.key_set, name="jwks"),
]
