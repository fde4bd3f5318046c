"""The form of a rule. forward_auth.rules.validation validates its fields."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from forward_auth.models import AccessRule
from forward_auth.rules.validation import METHODS, clean_fields


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """networks: one on each line. methods: checkboxes."""

    methods = forms.MultipleChoiceField(
        label=_("Methods"),
        choices=[(name, name) for name in METHODS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("None ticked: every method."),
    )
    networks = forms.CharField(
        label=_("Networks"),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        required=False,
        help_text=_(
            "Networks of the client, one on each line, like 10.0.0.0/8. Empty: every network."
        ),
    )

    class Meta:
        model = AccessRule
        fields = (
            *("name", "effect", "role", "host", "path", "methods", "networks", "is_enabled", "app"),
        )
        help_texts = {
            "role": _("Used when the rule allows a role. Higher roles are allowed, too."),
            "is_enabled": _("A rule that is not in use is kept, but has no effect."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["networks"] = "\n".join(self.instance.networks)
        for name in ("name", "host", "path"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        typed["networks"] = typed.get("networks", "").replace(",", " ").split()
        cleaned, errors = clean_fields(typed)
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}
