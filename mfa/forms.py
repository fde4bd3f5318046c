"""Forms of second factors. Services make the decisions."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import GatehouseForm, PasswordField

CODE_MAX_LENGTH = 100
APP_CODE = {
    "autocomplete": "one-time-code",
    "inputmode": "numeric",
    "spellcheck": "false",
    "autocapitalize": "none",
}


class SecondFactorForm(GatehouseForm):
    """A code of the app or a recovery code; the script sends `passkey` instead."""

    code = forms.CharField(
        label=_("Code"),
        max_length=CODE_MAX_LENGTH,
        help_text=_("Six digits from your authenticator app, or a recovery code."),
        # No numeric keyboard: recovery codes hold letters.
        widget=forms.TextInput(attrs={**APP_CODE, "inputmode": "text"}),
    )
    passkey = forms.CharField(required=False, max_length=32 * 1024, widget=forms.HiddenInput)
    remember = forms.BooleanField(label=_("Do not ask in this browser for 30 days"), required=False)
    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        """Require one of the two: an empty form must not pass."""
        super().__init__(*args, **options)
        self.fields["code"].required = not self.data.get("passkey")


class TOTPSetupForm(GatehouseForm):
    """The first code of an app, which shows that it has the key."""

    code = forms.CharField(
        label=_("Code that the app shows"),
        max_length=CODE_MAX_LENGTH,
        widget=forms.TextInput(attrs=APP_CODE),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        required=False,
        help_text=_("A name that you will recognize, for example “my phone”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class TOTPNameForm(GatehouseForm):
    """Another name for the app."""

    name = forms.CharField(
        label=_("Name"), max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class ReauthenticationForm(GatehouseForm):
    """Reauthentication of a user without a second factor."""

    password = PasswordField(label=_("Your password"))
    next = forms.CharField(required=False, widget=forms.HiddenInput)


class PasskeyNameForm(GatehouseForm):
    """The name that a user gives to a passkey."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("A name that you will recognize, like “Work laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class PasskeyRemovalForm(GatehouseForm):
    """Remove a passkey, and optionally sign out the device that it may be on."""

    ends_sessions = forms.BooleanField(label=_("Sign out all other devices"), required=False)
