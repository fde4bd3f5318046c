"""The form of a service account, and the field for the person who answers for it."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.admin.users.forms import UserForm
from accounts.models import Group, ServiceAccount, User
from accounts.roles import Role
from core.text.plain_text import trim


class PersonField(forms.CharField):
    """The address or user name of a person, cleaned to the account; None for an empty text."""

    widget = AdminTextInputWidget(attrs={"autocomplete": "off", "autocapitalize": "none"})

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)

    def clean(self, value: Any) -> User | None:
        text = super().clean(trim(value) if isinstance(value, str) else value)
        if not text:
            return None
        found: User | None = User.objects.people().with_login(text).first()
        if found is None:
            raise ValidationError(_("No person has this address or user name."))
        return found


class ServiceAccountForm(UserForm):
    """Name, purpose, role, ends and the responsible person. The name is given once."""

    email = None  # type: ignore[assignment]  # it has no address
    username = forms.CharField(
        label=_("Name"),
        max_length=64,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off", "autocapitalize": "none"}),
        help_text=_(
            "Letters, digits, dots, hyphens and underscores. Lists, the audit log and apps show "
            "it, so it cannot be changed later."
        ),
    )
    name = forms.CharField(
        label=_("What it is for"), max_length=150, required=False, widget=AdminTextInputWidget
    )
    responsible = PersonField(
        label=_("Responsible person"),
        help_text=_("Email address or user name of the person who answers for it."),
    )

    team = forms.ModelChoiceField(
        Group.objects.order_by("name"),
        label=_("Responsible group"),
        required=False,
        empty_label=_("None"),
        help_text=_("Everyone in it answers for the account as well."),
    )

    class Meta:
        model = ServiceAccount
        fields = ("username", "name", "role", "role_until", "role_after", "expires_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        role: Any = self.fields.get("role")
        if role is not None:
            role.choices = [each for each in role.choices if each[0] != Role.OWNER]
        if "responsible" in self.fields:
            self.initial["responsible"] = self._shown_person()
        if "team" in self.fields:
            self.initial["team"] = self.instance.responsible_group_id

    def _shown_person(self) -> str:
        key = self.instance.responsible_id
        person = User.objects.filter(pk=key).first() if key else None
        if person is None and key is None and isinstance(self.actor, User):
            person = self.actor
        return person.email if person and not person.is_service else ""
