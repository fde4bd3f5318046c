"""URLs of moderation (CONTRACT section 3)."""

from django.urls import path

from moderation import views

app_name = "moderation"
urlpatterns = [path("banned", views.banned, name="banned")]
