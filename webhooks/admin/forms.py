"""The forms of endpoints. webhooks.services.endpoints validates their fields."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import GatehouseForm
from core.errors import RecordInvalid
from webhooks.admin.labels import type_choices
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import FIELDS, clean_values


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """event_types: checkboxes in groups."""

    event_types = forms.MultipleChoiceField(
        label=_("Events"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("None ticked: every event, also of types that are added later."),
    )

    class Meta:
        model = WebhookEndpoint
        fields = FIELDS
        help_texts = {
            "name": _("Shown in lists and mails."),
            "url": _("Where events are posted. It starts with https://."),
            "is_enabled": _(
                "A webhook that is disabled gets no events. Those of the meantime are not sent "
                "later."
            ),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "event_types" in self.fields:
            self.fields["event_types"].choices = type_choices()  # type: ignore[attr-defined]
        for name in ("name", "url"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {
                    "autocomplete": "off",
                    "spellcheck": "false",
                    "class": "vLargeTextField",
                }

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors of the service."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            return clean_values(typed)
        except RecordInvalid as error:
            for name, texts in error.errors.items():
                self.add_error(name, texts)
        return {name: value for name, value in typed.items() if name in self.cleaned_data}


class RotateForm(GatehouseForm):
    """How long the old secret goes on signing."""

    overlap_hours = forms.TypedChoiceField(
        label=_("The old secret"),
        coerce=int,
        initial=24,
        widget=forms.RadioSelect,
        choices=[
            (24, _("signs for 24 hours more, beside the new one")),
            (168, _("signs for 7 days more, beside the new one")),
            (0, _("ends now, because others may know it")),
        ],
    )

    @property
    def overlap(self) -> timedelta:
        """The chosen time; of a valid form."""
        return timedelta(hours=self.cleaned_data["overlap_hours"])
