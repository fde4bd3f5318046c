"""URLs of accounts (CONTRACT section 3). Names that begin with `account_` are allauth's own."""

from django.urls import URLPattern, URLResolver, include, path

from accounts.views import account, email, invitations, login, passwords, registration, sessions

own = [
    path("", login.home, name="home"),
    path("set-up/<str:token>", registration.set_up, name="set-up"),
    path("invitation/<str:token>", invitations.accept, name="invitation"),
    path("password/reset/<str:token>", passwords.reset, name="reset-password"),
    path("verify-email/", email.resend_verification, name="verify-resend"),
    path("verify-email/<str:token>", email.verify_email, name="verify-email"),
    path("account/", account.profile, name="profile"),
    path("account/password", passwords.change_password, name="change-password"),
    path("account/email", email.change_email, name="change-email"),
    path("account/sessions/end", sessions.end_other_sessions, name="end-other-sessions"),
    path("account/sessions/<uuid:public_id>/end", sessions.end_session, name="end-session"),
    path("account/export", account.export, name="export"),
    path("account/delete", account.delete, name="delete"),
    path("settings/workspace/users", account.manage_users, name="users"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("sign-in", login.sign_in, name="account_login"),
    path("sign-up", registration.sign_up, name="account_signup"),
    path("sign-out", login.sign_out, name="account_logout"),
    path("password/forgot", passwords.forgot_password, name="account_reset_password"),
    path("", include((own, "accounts"))),
]
