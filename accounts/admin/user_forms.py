"""Forms of the user pages. They only read what was typed: accounts.services decides and writes."""

from copy import copy
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.admin.widgets import AdminEmailInputWidget, AdminTextInputWidget
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.actors import SYSTEM, Actor
from accounts.errors import GatehouseError, RecordInvalid
from accounts.models import ROLE_LABELS, User
from accounts.roles import Role, grantable
from accounts.services.users import Profile, check_profile

NAMES = ("email", "name", "username")


def role_choices(actor: Actor) -> list[tuple[str, Any]]:
    """The roles that `actor` may give, highest first, with their labels."""
    labels = dict(ROLE_LABELS)
    return [(role.value, labels[role.value]) for role in grantable(Role(actor.role))]


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Address, names and role. UserAdmin.get_form() sets `actor`, and `refusal` for a second try.

    The record itself stays untouched, so that the service sees what it was before.
    """

    actor: ClassVar[Actor] = SYSTEM
    refusal: ClassVar[GatehouseError | None] = None

    email = forms.CharField(
        label=_("Email address"),
        max_length=addresses.MAX_EMAIL_LENGTH,
        widget=AdminEmailInputWidget(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(
        label=_("Name"), max_length=150, required=False, widget=AdminTextInputWidget
    )
    username = forms.CharField(
        label=_("User name"),
        max_length=64,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("May be used instead of the address to sign in. Leave it empty for none."),
    )
    role = forms.ChoiceField(label=_("Role"), initial=Role.VIEWER.value)

    class Meta:
        model = User
        fields = ("email", "name", "username", "role", "role_is_kept")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "role" in self.fields:
            self.fields["role"].choices = role_choices(self.actor)  # type: ignore[attr-defined]

    def clean_email(self) -> str:
        typed: str = self.cleaned_data["email"]
        if typed == self.initial.get("email"):
            return typed  # perhaps a placeholder of ours, which nobody can type
        try:
            return addresses.parse_email(typed)
        except addresses.AddressError as error:
            raise forms.ValidationError(_(str(error))) from None

    def clean_username(self) -> str:
        typed: str = self.cleaned_data["username"]
        try:
            return addresses.parse_username(typed) if typed else ""
        except addresses.AddressError as error:
            raise forms.ValidationError(_(str(error))) from None

    def clean(self) -> dict[str, Any]:
        if self.refusal is not None:
            self._show(self.refusal)
        elif self.errors:
            # What the services will refuse, at once with what the form itself has found.
            readable = {name: text for name, text in self.cleaned_data.items() if name in NAMES}
            try:
                check_profile(copy(self.instance), Profile(**readable))
            except RecordInvalid as error:
                found = {name: error.errors[name] for name in error.errors.keys() & readable.keys()}
                self._show(RecordInvalid(found))
        return self.cleaned_data

    def _show(self, error: GatehouseError) -> None:
        found = error.errors if isinstance(error, RecordInvalid) else {"": [error.message]}
        for name, texts in found.items():
            self.add_error(name if name in self.fields else None, [str(text) for text in texts])

    def _post_clean(self) -> None:
        """Django's would write the typed values into the record and check it; services do."""


class AddUserForm(PersonForm):
    vouched = forms.BooleanField(
        label=_("I know this person: the address counts as verified"),
        required=False,
        # Without mail nobody can verify it later.
        initial=lambda: settings.MAIL.transport == "none",
    )


class ChooseRoleForm(forms.Form):
    """The role for several people at once."""

    role = forms.ChoiceField(label=_("New role"))

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = [("", _("Choose a role")), *role_choices(actor)]
        self.fields["role"].choices = choices  # type: ignore[attr-defined]
