"""Pages of accounts under the paths of CONTRACT section 3; `account_…` are allauth's own names."""

from django.urls import URLPattern, URLResolver, include, path

from accounts.views import (
    account,
    confirm,
    entrance,
    factors,
    identities,
    invitations,
    oauth,
    passkeys,
    second_factor,
)

own = [
    path("", entrance.home, name="home"),
    path("set-up/<str:token>", entrance.set_up, name="set-up"),
    path("invitation/<str:token>", invitations.accept, name="invitation"),
    path("password/reset/<str:token>", entrance.reset, name="reset-password"),
    path("verify-email/", account.resend_verification, name="verify-resend"),
    path("verify-email/<str:token>", account.verify_email, name="verify-email"),
    path("account/", account.profile, name="profile"),
    path("account/password", account.change_password, name="change-password"),
    path("account/email", account.change_email, name="change-email"),
    path("account/sessions/end", account.end_other_sessions, name="end-other-sessions"),
    path("account/sessions/<uuid:public_id>/end", account.end_session, name="end-session"),
    path("account/passkeys", passkeys.add, name="passkeys"),
    path("account/passkeys/add", passkeys.add_page, name="passkey-add"),
    path("account/passkeys/options", passkeys.adding_options, name="passkey-options"),
    path("account/passkeys/<uuid:passkey_id>/rename", passkeys.rename, name="passkey-rename"),
    path("account/passkeys/<uuid:passkey_id>/remove", passkeys.remove, name="passkey-remove"),
    path("account/authenticator/set-up", factors.set_up_app, name="app-set-up"),
    path("account/authenticator/rename", factors.rename_app, name="app-rename"),
    path("account/authenticator/remove", factors.remove_app, name="app-remove"),
    path("account/recovery-codes", factors.recovery_codes, name="recovery-codes"),
    path(
        "account/browsers/<uuid:browser_id>/forget", factors.forget_browser, name="browser-forget"
    ),
    path("second-factor", second_factor.ask, name="second-factor"),
    path("second-factor/set-up", second_factor.set_up, name="second-factor-set-up"),
    path("second-factor/cancel", second_factor.cancel_sign_in, name="second-factor-cancel"),
    path("confirm", confirm.confirm, name="confirm"),
    path("confirm/continue", confirm.confirm_continue, name="confirm-continue"),
    path("sign-in/passkey", passkeys.sign_in, name="passkey-sign-in"),
    path("sign-in/passkey/options", passkeys.sign_in_options, name="passkey-sign-in-options"),
    path("account/identities/<slug:provider>/connect", identities.connect, name="connect"),
    path(
        "account/identities/<uuid:identity_id>/disconnect",
        identities.disconnect_page,
        name="disconnect",
    ),
    path("oauth/<slug:provider>/login", oauth.start, name="provider-start"),
    path("oauth/<slug:provider>/callback", oauth.callback, name="provider-callback"),
    path("api/auth/callback/<slug:provider>", oauth.callback, name="provider-callback-other"),
    path("account/export", account.export, name="export"),
    path("account/delete", account.delete, name="delete"),
    path("settings/workspace/users", account.manage_users, name="users"),
    *oauth.own_callbacks(),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("sign-in", entrance.sign_in, name="account_login"),
    path("sign-up", entrance.sign_up, name="account_signup"),
    path("sign-out", entrance.sign_out, name="account_logout"),
    path("password/forgot", entrance.forgot_password, name="account_reset_password"),
    path("", include((own, "accounts"))),
]
