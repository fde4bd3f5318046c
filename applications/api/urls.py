"""URLs of apps below /api/v1/, without a trailing slash."""

from django.urls import path

from applications.api import apps, custom_scopes, introspection, secrets

app_name = "applications_api"
urlpatterns = [
    path("introspect", introspection.IntrospectionView.as_view(), name="introspect"),
    path("openid-scopes", custom_scopes.ScopesView.as_view(), name="scopes"),
    path("openid-scopes/<uuid:scope_id>", custom_scopes.ScopeView.as_view(), name="scope"),
    path("apps", apps.AppsView.as_view(), name="apps"),
    path("apps/<uuid:app_id>", apps.AppView.as_view(), name="app"),
    path("apps/<uuid:app_id>/secrets", secrets.SecretsView.as_view(), name="app-secrets"),
    path(
        "apps/<uuid:app_id>/secrets/<uuid:secret_id>",
        secrets.SecretView.as_view(),
        name="app-secret",
    ),
]
