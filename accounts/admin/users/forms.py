"""Forms of the user pages. They parse input; accounts.services validates and writes."""

import re
from copy import copy
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.admin.widgets import AdminEmailInputWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.actors import SYSTEM, Actor
from accounts.forms import EndField, ServiceErrorsMixin, add_check_errors
from accounts.models import ROLE_LABELS, Group, User
from accounts.roles import Role, grantable
from accounts.services.end_dates import check_end, check_role_end
from accounts.services.groups.reading import find_groups
from accounts.services.users import Profile, check_profile
from core.errors import GatehouseError, RecordInvalid
from core.text import email_addresses

NAMES = ("email", "name", "username")
MAX_TYPED_GROUPS, SHOWN_GROUPS = 2100, 12


def role_choices(actor: Actor) -> list[tuple[str, Any]]:
    """The roles that `actor` may assign, highest first, with their labels."""
    labels = dict(ROLE_LABELS)
    return [(role.value, labels[role.value]) for role in grantable(Role(actor.role))]


def following_choices(actor: Actor) -> list[tuple[str, Any]]:
    """The roles that may follow one with an end; "" for a role without an end."""
    return [("", _("None: no end")), *role_choices(actor)[1:]]


class GroupsField(forms.CharField):
    """Names of groups, cleaned to the ids of them, as texts.

    A text and not a list of boxes: there may be hundreds, and a page may have to keep what was
    typed in a hidden field.
    """

    widget = AdminTextInputWidget(
        attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=MAX_TYPED_GROUPS, **options)

    def clean(self, value: Any) -> list[str]:
        names = [part.strip() for part in re.split("[,;\\n]", super().clean(value)) if part.strip()]
        try:
            return [str(group.pk) for group in find_groups(names)]
        except RecordInvalid as error:
            raise ValidationError(error.errors["groups"]) from None


def offer_groups(field: forms.Field, effect: Any = "") -> None:
    """Let the field say which groups there are; see GroupsField. effect: said first."""
    names = list(Group.objects.order_by("name").values_list("name", flat=True)[: SHOWN_GROUPS + 1])
    if not names:
        field.help_text = _("There is no group yet.")
        return
    more = " …" if len(names) > SHOWN_GROUPS else ""
    text = _("Names with commas between them. There are: %(names)s.")
    listed = text % {"names": ", ".join(names[:SHOWN_GROUPS]) + more}
    field.help_text = f"{effect} {listed}".strip()


class UserForm(ServiceErrorsMixin, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Email address, names and role.

    UserAdmin.get_form() sets `actor`, and `service_error` if a service has refused the input. The
    instance is not changed, so that the service can compare.
    """

    actor: ClassVar[Actor] = SYSTEM
    service_error: ClassVar[GatehouseError | None] = None

    email = forms.CharField(
        label=_("Email address"),
        max_length=email_addresses.MAX_EMAIL_LENGTH,
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
    role_until = EndField(
        label=_("Role ends"),
        help_text=_("In your time zone. Empty: the role has no end."),
    )
    role_after = forms.ChoiceField(
        label=_("Role afterwards"),
        required=False,
        help_text=_("A lower one, which holds from then on."),
    )
    expires_at = EndField(
        label=_("Access ends"),
        help_text=_(
            "In your time zone. The account is disabled then. Empty: the access has no end."
        ),
    )

    class Meta:
        model = User
        fields = (
            *("email", "name", "username", "role", "role_locked"),
            *("role_until", "role_after", "expires_at"),
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "role" in self.fields:
            self.fields["role"].choices = role_choices(self.actor)  # type: ignore[attr-defined]
        if "role_after" in self.fields:
            choices = following_choices(self.actor)
            self.fields["role_after"].choices = choices  # type: ignore[attr-defined]

    def clean_email(self) -> str:
        typed: str = self.cleaned_data["email"]
        if typed == self.initial.get("email"):
            return typed  # perhaps our placeholder, which cannot be typed
        try:
            return email_addresses.parse_email(typed)
        except email_addresses.AddressError as error:
            raise forms.ValidationError(_(str(error))) from None

    def clean_username(self) -> str:
        typed: str = self.cleaned_data["username"]
        try:
            return email_addresses.parse_username(typed) if typed else ""
        except email_addresses.AddressError as error:
            raise forms.ValidationError(_(str(error))) from None

    def clean(self) -> dict[str, Any]:
        if self.service_error is not None:
            self.add_service_errors(self.service_error)
        elif self.errors:
            # Show what the services will refuse together with the form's own errors.
            add_check_errors(self, self._check)
        return self.cleaned_data

    def _check(self, typed: dict[str, Any]) -> None:
        """Raise RecordInvalid for names that the service would refuse."""
        names = {name: text for name, text in typed.items() if name in NAMES}
        check_profile(copy(self.instance), Profile(**names))

    def _post_clean(self) -> None:
        """Skip Django's, which would write the input into the instance: services do that."""


class AddUserForm(UserForm):
    """A new user. email_verified: the administrator knows that the address is theirs."""

    email_verified = forms.BooleanField(
        label=_("I know this person: the address counts as verified"),
        required=False,
        # Without mail the user cannot verify it later.
        initial=lambda: settings.MAIL.transport == "none",
    )


class ChooseRoleForm(ServiceErrorsMixin, forms.Form):
    """One role for several users, for good or until a time."""

    role = forms.ChoiceField(label=_("New role"))
    role_until = EndField(label=_("Role ends (empty: never)"))
    role_after = forms.ChoiceField(label=_("Role afterwards, a lower one"), required=False)

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.actor = actor
        choices = [("", _("Choose a role")), *role_choices(actor)]
        self.fields["role"].choices = choices  # type: ignore[attr-defined]
        self.fields["role_after"].choices = following_choices(actor)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            add_check_errors(self, self._check)
        return self.cleaned_data

    def _check(self, typed: dict[str, Any]) -> None:
        until, then = typed["role_until"], typed["role_after"]
        check_role_end(self.actor, typed["role"], until, then, timezone.now())


class ChooseEndForm(ServiceErrorsMixin, forms.Form):
    """One end for the access of several users."""

    expires_at = EndField(label=_("Access ends (empty: never)"))

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            add_check_errors(self, self._check)
        return self.cleaned_data

    def _check(self, typed: dict[str, Any]) -> None:
        check_end("expires_at", typed["expires_at"], timezone.now())
