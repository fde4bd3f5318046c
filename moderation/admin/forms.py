"""Forms of moderation. They parse input; the services validate and write."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.utils.translation import gettext_lazy as _

from accounts.forms import GatehouseForm
from accounts.models import User
from moderation.networks import network_name
from moderation.services.bans import MAX_REASON_LENGTH

DURATIONS: dict[str, tuple[Any, timedelta | None]] = {
    "1h": (_("1 hour"), timedelta(hours=1)),
    "24h": (_("24 hours"), timedelta(hours=24)),
    "7d": (_("7 days"), timedelta(days=7)),
    "30d": (_("30 days"), timedelta(days=30)),
    "lifted": (_("until it is lifted"), None),
}
MAX_TARGET_LENGTH = 254


class BanForm(GatehouseForm):
    """How long, and why."""

    duration = forms.ChoiceField(
        label=_("How long"), choices=[(key, label) for key, (label, _time) in DURATIONS.items()]
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_REASON_LENGTH,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("The banned person sees it."),
    )

    def clean_duration(self) -> timedelta | None:
        """None means until it is lifted."""
        return DURATIONS[self.cleaned_data["duration"]][1]


class BanTargetForm(BanForm):
    """A ban of a user, a network, or both as one ban."""

    user = forms.CharField(
        label=_("Person"),
        max_length=MAX_TARGET_LENGTH,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("Email address or user name. Leave it empty to ban a network alone."),
    )
    network = forms.CharField(
        label=_("Network address"),
        max_length=64,
        required=False,
        widget=AdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_(
            "An IPv4 address, or an IPv6 address, which stands for its /64. No one can sign in or "
            "sign up from there. Users who are signed in stay signed in."
        ),
    )
    field_order = ("user", "network", "duration", "reason")

    def clean_user(self) -> User | None:
        """The account, or None for an empty field."""
        typed: str = self.cleaned_data["user"].strip()
        if not typed:
            return None
        found: User | None = User.objects.with_login(typed).first()
        if found is None:
            raise forms.ValidationError(_("No account has this address or user name."))
        return found

    def clean_network(self) -> str:
        typed: str = self.cleaned_data["network"].strip()
        if typed and not network_name(typed):
            raise forms.ValidationError(_("Enter one address, such as 203.0.113.7 or 2001:db8::1."))
        return typed
