"""The form of a rule. forward_auth.rules.validation validates its fields."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from forward_auth.models import AccessRule
from forward_auth.rules.validation import COMMON_METHODS, RARE_METHODS, clean_fields


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """networks: one on each line. methods: checkboxes."""

    methods = forms.MultipleChoiceField(
        label=_("Methods"),
        choices=[
            (_("Usual"), [(name, name) for name in COMMON_METHODS]),
            (_("WebDAV and others"), [(name, name) for name in RARE_METHODS]),
        ],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("None ticked: every method."),
    )
    group_ids = forms.MultipleChoiceField(
        label=_("Groups"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_(
            "Used when the rule allows a role: only people in one of the ticked groups. None "
            "ticked: everyone with the role."
        ),
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
            *("name", "effect", "role", "group_ids", "host", "path", "methods", "networks"),
            *("is_enabled", "app"),
        )
        help_texts = {
            "role": _("Used when the rule allows a role. Higher roles are allowed, too."),
            "is_enabled": _("A rule that is not in use is kept, but has no effect."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "group_ids" in self.fields:
            self._offer_groups(cast("forms.MultipleChoiceField", self.fields["group_ids"]))
        if "app" in self.fields:
            # No buttons that change or delete the app: they read as if they were about the rule.
            for act in ("add", "change", "delete", "view"):
                setattr(self.fields["app"].widget, f"can_{act}_related", False)
        self.initial["networks"] = "\n".join(self.instance.networks)
        for name in ("name", "host", "path"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def _offer_groups(self, field: forms.MultipleChoiceField) -> None:
        """All groups, and deleted ones that the rule asks for: dropping one would open the rule."""
        groups = {str(group.pk): str(group) for group in Group.objects.order_by("name")}
        gone = {key: _("a deleted group") for key in self.instance.group_ids if key not in groups}
        field.choices = [*groups.items(), *gone.items()]
        if not field.choices:
            field.help_text = _("There is no group yet.")

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        typed["networks"] = typed.get("networks", "").replace(",", " ").split()
        cleaned, errors = clean_fields(typed)
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}
