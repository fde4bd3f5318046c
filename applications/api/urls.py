"""URLs of apps below /api/v1/, without a trailing slash."""

from django.urls import path

from applications.api import apps

app_name = "applications_api"
urlpatterns = [
    path("apps", apps.AppsView.as_view(), name="apps"),
    path("apps/<uuid:app_id>", apps.AppView.as_view(), name="app"),
]
