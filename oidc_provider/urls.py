"""URLs of the OpenID provider. Discovery tells them to apps."""

from django.urls import path

from oidc_provider.views import (
    access,
    authorize,
    device,
    logout,
    pushed,
    registration,
    signed_out,
    tokens,
)

app_name = "oidc_provider"
urlpatterns = [
    path("openid/authorize", authorize.authorize, name="authorize"),
    path("openid/device-authorization", device.device_authorization, name="device-authorization"),
    path("openid/device", device.device, name="device"),
    path("openid/par", pushed.par, name="par"),
    path("openid/register", registration.register, name="registration"),
    path("openid/register/<str:client_id>", registration.registered, name="registered"),
    path("openid/consent", authorize.decide, name="decide"),
    path("openid/token", tokens.token, name="token"),
    path("openid/userinfo", tokens.userinfo, name="userinfo"),
    path("openid/revoke", tokens.revoke, name="revoke"),
    path("openid/end-session", logout.end_session, name="end-session"),
    path("openid/sign-out", logout.sign_out, name="sign-out"),
    path("account/apps", access.own_access, name="access"),
    path("account/apps/end", access.end_all_app_access, name="end-all-access"),
    path("account/apps/<uuid:app_id>/end", access.end_app_access, name="end-access"),
    path("openid/signed-out", signed_out.signed_out, name="signed-out"),
]
