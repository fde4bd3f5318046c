"""Forms of the sign-in and account pages: they parse; services decide."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.errors import RecordInvalid
from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH, password_problems
from accounts.plain_text import trim


class AddressField(forms.CharField):
    """One email address in its stored form."""

    widget = forms.EmailInput(attrs={"autocomplete": "email", "autocapitalize": "none"})

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", _("Email address"))
        super().__init__(max_length=addresses.MAX_EMAIL_LENGTH, **options)

    def clean(self, value: Any) -> str:
        text = super().clean(trim(value) if isinstance(value, str) else value)
        if not text and not self.required:
            return ""
        try:
            return addresses.parse_email(text)
        except addresses.AddressError:
            raise ValidationError(_("Enter one email address, like name@example.com.")) from None


class PasswordField(forms.CharField):
    """A password as typed: never stripped, never shown again."""

    def __init__(self, *, new: bool = False, **options: Any) -> None:
        options.setdefault("label", _("New password") if new else _("Password"))
        options.setdefault("max_length", MAX_PASSWORD_LENGTH)
        autocomplete = "new-password" if new else "current-password"
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(strip=False, widget=widget, **options)
        self.is_new = new

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """No maxlength: a browser would cut a pasted password there, and say nothing."""
        attributes: dict[str, Any] = super().widget_attrs(widget)
        attributes.pop("maxlength", None)
        return attributes

    def validate(self, value: Any) -> None:
        """Hold a new one against the rules here, so that the form tells all that is wrong at once.

        The service asks again, with the names of the person.
        """
        super().validate(value)
        problems = password_problems(value, User()) if self.is_new and value else []
        if problems:
            raise ValidationError(problems)


def is_valid_with(form: forms.Form, check: Callable[[dict[str, Any]], object]) -> bool:
    """Is the form valid? If it is not, it tells at once what the service will object to, too.

    check: asked about the fields that can be read; raises RecordInvalid. What it says of others
    is left out.
    """
    if form.is_valid():
        return True
    if form.is_bound:
        readable = dict(form.cleaned_data)
        try:
            check(readable)
        except RecordInvalid as error:
            for name in error.errors.keys() & readable.keys():
                form.add_error(name, [str(text) for text in error.errors[name]])
    return False


class GatehouseForm(forms.Form):
    """A form that takes a service's refusals beside its fields."""

    def add_service_errors(self, error: RecordInvalid) -> None:
        """Show each message at its field, or above the form when the form has no such field."""
        for name, messages in error.errors.items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)


class LoginField(forms.CharField):
    """An address or user name, without what a copy brings along around it."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(trim(value) if isinstance(value, str) else value)


class SignInForm(GatehouseForm):
    """Address or user name, and password; `setup_code` only after the published default sign-in
    was typed on an instance that is not set up."""

    login = LoginField(
        label=_("Email address or user name"),
        max_length=addresses.MAX_EMAIL_LENGTH,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username webauthn",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    password = PasswordField()
    setup_code = forms.CharField(
        label=_("Set-up code"),
        max_length=200,
        required=False,
        help_text=_("This instance is new. The code is in the text that the server printed."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, asks_code: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        if not asks_code:
            del self.fields["setup_code"]


class LinkForm(GatehouseForm):
    """Ask for a magic link."""

    email = AddressField()
    next = forms.CharField(required=False, widget=forms.HiddenInput)


class SignUpForm(GatehouseForm):
    """A new local account; `setup_code` only on a fresh instance asked from elsewhere."""

    email = AddressField()
    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = PasswordField(new=True, label=_("Password"))
    setup_code = forms.CharField(
        label=_("Set-up code"),
        max_length=100,
        help_text=_("This instance is new. The code is in the text that the server printed."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, needs_code: bool = False, needs_password: bool = True, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        if not needs_code:
            del self.fields["setup_code"]
        if not needs_password:
            del self.fields["password"]


class SetUpForm(GatehouseForm):
    """The first owner's own address and password."""

    email = AddressField()
    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = PasswordField(new=True, label=_("Password"))

    def __init__(self, *args: Any, needs_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not needs_password:
            del self.fields["password"]


class InvitationForm(GatehouseForm):
    """The invited person's own name and password; no password where nobody signs in with one."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = PasswordField(new=True, label=_("Password"))

    def __init__(self, *args: Any, needs_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not needs_password:
            del self.fields["password"]


class ForgotForm(GatehouseForm):
    """Ask for a password reset."""

    email = AddressField()


class NewPasswordForm(GatehouseForm):
    """Choose a new password by a mailed link."""

    password = PasswordField(new=True)


class ChangePasswordForm(GatehouseForm):
    """Replace one's own password."""

    current_password = PasswordField(label=_("Current password"))
    password = PasswordField(new=True)

    def __init__(self, *args: Any, has_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not has_password:
            del self.fields["current_password"]


class ConfirmAddressForm(GatehouseForm):
    """Prove an address; the password is asked for in another browser than the one that asked."""

    password = PasswordField(label=_("Password of this account"))

    def __init__(self, *args: Any, needs_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not needs_password:
            del self.fields["password"]


class ProfileForm(GatehouseForm):
    """One's own name and user name."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    username = forms.CharField(
        label=_("User name"),
        max_length=64,
        required=False,
        help_text=_("You can sign in with it instead of your address."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )


class ChangeEmailForm(GatehouseForm):
    """Move the account to another address."""

    email = AddressField(label=_("New email address"))
    password = PasswordField(label=_("Your password"))

    def __init__(self, *args: Any, has_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not has_password:
            del self.fields["password"]


class DeleteAccountForm(GatehouseForm):
    """Proof that the person himself asks: his password, or his address typed out."""

    proof = PasswordField(label=_("Your password"))

    def __init__(self, *args: Any, has_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not has_password:
            self.fields["proof"] = LoginField(
                label=_("Your email address, to confirm"), max_length=addresses.MAX_EMAIL_LENGTH
            )


class PasskeyNameForm(GatehouseForm):
    """What a person calls one of his passkeys."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("So that you know it again, like “Work laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class PasskeyRemovalForm(GatehouseForm):
    """Remove a passkey, and sign out the device that it may be on."""

    ends_sessions = forms.BooleanField(label=_("Sign out all other devices"), required=False)
