"""URLs of access to apps below /api/v1/, without a trailing slash."""

from django.urls import path

from oidc_provider.api import access

app_name = "oidc_provider_api"
urlpatterns = [
    path("me/app-access", access.OwnAccessView.as_view(), name="own-access"),
    path("me/app-access/<uuid:app_id>", access.OwnAppAccessView.as_view(), name="own-app-access"),
    path("users/<uuid:user_id>/app-access", access.UserAccessView.as_view(), name="user-access"),
    path(
        "users/<uuid:user_id>/app-access/<uuid:app_id>",
        access.UserAppAccessView.as_view(),
        name="user-app-access",
    ),
]
