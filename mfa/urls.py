"""URLs of second factors and of reauthentication."""

from django.urls import path

from mfa.views import factors, passkeys, reauthenticate, second_factor

app_name = "mfa"
urlpatterns = [
    path("account/passkeys", passkeys.add, name="passkeys"),
    path("account/passkeys/add", passkeys.add_page, name="passkey-add"),
    path("account/passkeys/options", passkeys.adding_options, name="passkey-options"),
    path("account/passkeys/<uuid:passkey_id>/rename", passkeys.rename, name="passkey-rename"),
    path("account/passkeys/<uuid:passkey_id>/remove", passkeys.remove, name="passkey-remove"),
    path("account/authenticator/set-up", factors.set_up_totp, name="app-set-up"),
    path("account/authenticator/rename", factors.rename_totp, name="app-rename"),
    path("account/authenticator/remove", factors.remove_totp, name="app-remove"),
    path("account/recovery-codes", factors.recovery_codes, name="recovery-codes"),
    path("account/recovery-codes/download", factors.download_codes, name="recovery-codes-file"),
    path(
        "account/browsers/<uuid:browser_id>/forget", factors.forget_browser, name="browser-forget"
    ),
    path("second-factor", second_factor.verify, name="second-factor"),
    path("second-factor/set-up", second_factor.set_up, name="second-factor-set-up"),
    path("second-factor/cancel", second_factor.cancel_sign_in, name="second-factor-cancel"),
    path("confirm", reauthenticate.confirm, name="confirm"),
    path("sign-in/passkey", passkeys.sign_in, name="passkey-sign-in"),
    path("sign-in/passkey/options", passkeys.sign_in_options, name="passkey-sign-in-options"),
]
