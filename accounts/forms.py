"""Forms of the sign-in and account pages. They parse input; services validate and write."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH, password_problems
from core.errors import GatehouseError, RecordInvalid
from core.text import email_addresses
from core.text.plain_text import trim
from core.text.time_zones import zone_names


class EmailAddressField(forms.CharField):
    """One email address, cleaned to its stored form."""

    widget = forms.EmailInput(attrs={"autocomplete": "email", "autocapitalize": "none"})

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", _("Email address"))
        super().__init__(max_length=email_addresses.MAX_EMAIL_LENGTH, **options)

    def clean(self, value: Any) -> str:
        text = super().clean(trim(value) if isinstance(value, str) else value)
        if not text and not self.required:
            return ""
        try:
            return email_addresses.parse_email(text)
        except email_addresses.AddressError:
            raise ValidationError(_("Enter one email address, like name@example.com.")) from None


class EndField(forms.DateTimeField):
    """When something ends, to the minute, in the reader's zone; empty for no end."""

    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, **options})

    def has_changed(self, initial: Any, data: Any) -> bool:
        """A stored end has seconds, which the input does not show: they are no change."""
        try:
            typed = self.to_python(data)
        except ValidationError:
            return True
        return _to_the_minute(initial) != _to_the_minute(typed)


def _to_the_minute(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(second=0, microsecond=0)


class PasswordField(forms.CharField):
    """A password as typed: never stripped, never shown again. new: check the password rules."""

    def __init__(self, *, new: bool = False, **options: Any) -> None:
        options.setdefault("label", _("New password") if new else _("Password"))
        options.setdefault("max_length", MAX_PASSWORD_LENGTH)
        autocomplete = "new-password" if new else "current-password"
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(strip=False, widget=widget, **options)
        self.is_new = new

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """No maxlength: a browser would silently cut a pasted password."""
        attributes: dict[str, Any] = super().widget_attrs(widget)
        attributes.pop("maxlength", None)
        return attributes

    def validate(self, value: Any) -> None:
        """Check the rules for a new password here, so that the form shows all errors at once.

        The service checks again, with the names of the user.
        """
        super().validate(value)
        problems = password_problems(value, User()) if self.is_new and value else []
        if problems:
            raise ValidationError(problems)


class LoginField(forms.CharField):
    """An email address or user name, without the white space that copying adds."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(trim(value) if isinstance(value, str) else value)


def is_valid_with(form: forms.Form, check: Callable[[dict[str, Any]], object]) -> bool:
    """Like form.is_valid(), but an invalid form also shows what the service would refuse.

    check: called with the fields that are valid; raises RecordInvalid. Its errors about other
    fields are left out.
    """
    if form.is_valid():
        return True
    if form.is_bound:
        add_check_errors(form, check)
    return False


def add_check_errors(form: forms.BaseForm, check: Callable[[dict[str, Any]], object]) -> None:
    """Add what `check` refuses about the fields that are valid so far; see is_valid_with()."""
    readable = dict(form.cleaned_data)
    try:
        check(readable)
    except RecordInvalid as error:
        for name in error.errors.keys() & readable.keys():
            form.add_error(name, [str(text) for text in error.errors[name]])


class ServiceErrorsMixin:
    """For a form that shows what a service refuses beside its fields."""

    def add_service_errors(self: Any, error: GatehouseError) -> None:
        """Add each message to its field, or to the whole form if it has no such field.

        Raises an error that refuses nothing again: an act that waits for a second owner, to whose
        request ErrorPageMiddleware leads.
        """
        if error.status < 400:
            raise error
        found = error.errors if isinstance(error, RecordInvalid) else {"": [error.message]}
        for name, messages in found.items():
            self.add_error(name if name in self.fields else None, [str(text) for text in messages])


class GatehouseForm(ServiceErrorsMixin, forms.Form):
    """Base of the forms of pages.

    error_status: of the page that shows errors. retry_after_seconds: 0 unless a limit was exceeded.
    """

    error_status = 400
    retry_after_seconds = 0

    def __init__(self, *args: Any, asks: Mapping[str, bool] | None = None, **options: Any) -> None:
        """asks: whether a field is asked for; one that is not is dropped. The default is yes."""
        super().__init__(*args, **options)
        for name, is_asked in (asks or {}).items():
            if not is_asked:
                del self.fields[name]

    def refuse(self, error: GatehouseError, field: str | None = None) -> None:
        """Show `error` beside `field`, or above the form; its status becomes that of the page."""
        self.add_error(field if field in self.fields else None, error.message)
        self.error_status = error.status
        self.retry_after_seconds = getattr(error, "retry_after_seconds", 0)


def _name_field() -> forms.CharField:
    return forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


def _setup_code_field(max_length: int, *, required: bool) -> forms.CharField:
    return forms.CharField(
        label=_("Set-up code"),
        max_length=max_length,
        required=required,
        help_text=_("This instance is new. The code is in the text that the server printed."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _zone_choices() -> list[tuple[str, Any]]:
    """The zones of core.text.time_zones, by continent; first that of the server."""
    server = _("As this server: %(zone)s") % {"zone": timezone.get_default_timezone_name()}
    areas: dict[str, list[tuple[str, str]]] = {}
    for name in zone_names():
        area, _slash, place = name.partition("/")
        areas.setdefault(area, []).append((name, place.replace("_", " ") or area))
    return [("", server), *areas.items()]


def _language_choices() -> list[tuple[str, str]]:
    """Each language by its own name."""
    return [
        (code, str(get_language_info(code)["name_local"])) for code, _name in settings.LANGUAGES
    ]


def _next_field() -> forms.CharField:
    return forms.CharField(required=False, widget=forms.HiddenInput)


class SignInForm(GatehouseForm):
    """Email address or user name, and password.

    `setup_code` is only asked for after the published default password was typed on an instance
    that is not set up.
    """

    login = LoginField(
        label=_("Email address or user name"),
        max_length=email_addresses.MAX_EMAIL_LENGTH,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username webauthn",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    password = PasswordField()
    setup_code = _setup_code_field(200, required=False)
    next = _next_field()


class LinkForm(GatehouseForm):
    """Ask for a sign-in link."""

    email = EmailAddressField()
    next = _next_field()


class SignUpForm(GatehouseForm):
    """A new local account. `setup_code` is for a new instance that is used from another machine."""

    email = EmailAddressField()
    name = _name_field()
    password = PasswordField(new=True, label=_("Password"))
    setup_code = _setup_code_field(100, required=True)
    next = _next_field()


class SetUpForm(GatehouseForm):
    """The first owner's own address and password."""

    email = EmailAddressField()
    name = _name_field()
    password = PasswordField(new=True, label=_("Password"))


class InvitationForm(GatehouseForm):
    """The invited user's own name and password."""

    name = _name_field()
    password = PasswordField(new=True, label=_("Password"))


class ForgotForm(GatehouseForm):
    """Ask for a password reset."""

    email = EmailAddressField()


class NewPasswordForm(GatehouseForm):
    """Choose a new password by a mailed link."""

    password = PasswordField(new=True)


class ChangePasswordForm(GatehouseForm):
    """Replace your own password."""

    current_password = PasswordField(label=_("Current password"))
    password = PasswordField(new=True)


class ConfirmAddressForm(GatehouseForm):
    """Verify an address; in another browser than the one that asked, with the password."""

    password = PasswordField(label=_("Password of this account"))


class ProfileForm(GatehouseForm):
    """Your own name, user name, time zone and language of mails."""

    name = _name_field()
    username = forms.CharField(
        label=_("User name"),
        max_length=64,
        required=False,
        help_text=_("You can sign in with it instead of your address."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    language = forms.ChoiceField(
        label=_("Language of mails"), required=False, choices=_language_choices
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        choices=_zone_choices,
        help_text=_("Pages and mails show times in it."),
        widget=forms.Select(attrs={"data-offers-zone": settings.TIME_ZONE}),
    )


class ChangeEmailForm(GatehouseForm):
    """Move the account to another address."""

    email = EmailAddressField(label=_("New email address"))
    password = PasswordField(label=_("Your password"))


class DeleteAccountForm(GatehouseForm):
    """Confirm the deletion with your password, or with your address if you have none."""

    proof = PasswordField(label=_("Your password"))

    def __init__(self, *args: Any, needs_password: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not needs_password:
            self.fields["proof"] = LoginField(
                label=_("Your email address, to confirm"),
                max_length=email_addresses.MAX_EMAIL_LENGTH,
            )
