"""URLs of sign-in through providers."""

from django.urls import path

from federation.views import identities, oauth

app_name = "federation"
urlpatterns = [
    path("account/identities/<slug:provider>/connect", identities.connect, name="connect"),
    path(
        "account/identities/<uuid:identity_id>/disconnect",
        identities.disconnect_page,
        name="disconnect",
    ),
    path("oauth/<slug:provider>/login", oauth.start, name="provider-start"),
    path("oauth/<slug:provider>/callback", oauth.callback, name="provider-callback"),
    path("api/auth/callback/<slug:provider>", oauth.callback, name="provider-callback-other"),
    *oauth.own_callbacks(),
]
