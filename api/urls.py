"""Every path of /api/v1/ (CONTRACT section 6), without a trailing slash; with one they answer too.

The middleware cuts the slash off before it looks here.
"""

from django.urls import path

from api.views import me

app_name = "api"
urlpatterns = [
    path("me", me.MeView.as_view(), name="me"),
]
