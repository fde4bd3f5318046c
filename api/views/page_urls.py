"""URLs of the pages of own API keys and programs, below /account/keys."""

from django.urls import path

from api.views import keypages

app_name = "apikeys"
urlpatterns = [
    path("", keypages.own_keys, name="list"),
    path("/programs/<uuid:family_id>/end", keypages.end_program, name="end-program"),
    path("/<str:key_id>/rotate", keypages.rotate, name="rotate"),
    path("/<str:key_id>/revoke", keypages.revoke, name="revoke"),
]
