"""Forms of the pages of access reviews. They parse input; the services validate and write."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access_reviews.access import Access
from access_reviews.admin.labels import KeyLine, lower_roles
from access_reviews.models import NAME_MAX_LENGTH, NOTE_MAX_LENGTH, AccessReview
from access_reviews.services.decisions import Removal
from access_reviews.services.reviews import (
    REASON_MAX_LENGTH,
    ReviewRequest,
    check_request,
    possible_reviewers,
)
from accounts.admin.base import as_uuid
from accounts.forms import EndField, GatehouseForm, add_check_errors
from accounts.models import ROLE_LABELS, Group, User

DEFAULT_SPAN = timedelta(days=14)
DISABLE = "disable"


def _due_by_default() -> Any:
    due = timezone.localtime() + DEFAULT_SPAN
    return due.replace(hour=18, minute=0, second=0, microsecond=0)


class StartForm(GatehouseForm):
    """A review to start."""

    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_MAX_LENGTH,
        help_text=_("As in “Administrators, fourth quarter”."),
    )
    scope = forms.ChoiceField(
        label=_("Who is reviewed"),
        choices=AccessReview.Scope.choices,
        help_text=_("Only accounts that can sign in are listed."),
    )
    min_role = forms.ChoiceField(
        label=_("Lowest role"),
        required=False,
        choices=[("", _("Choose a role")), *ROLE_LABELS],
        help_text=_("For “A role and above”."),
    )
    group = forms.ChoiceField(
        label=_("Group"), required=False, help_text=_("For “Members of a group”.")
    )
    due_at = EndField(
        label=_("Due"),
        required=True,
        initial=_due_by_default,
        help_text=_("In your time zone. Reviewers are reminded 7 days and 1 day before."),
    )
    reviewers = forms.MultipleChoiceField(
        label=_("Reviewers"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Every owner can decide as well."),
    )
    disable_undecided = forms.BooleanField(
        label=_("Disable undecided accounts at the due date"),
        required=False,
        help_text=_(
            "Otherwise nothing is taken away by itself. Owners are never disabled, nor are people "
            "whom you may not manage."
        ),
    )

    def __init__(self, *args: Any, actor: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self._actor = actor
        self._possible = {str(user.pk): user for user in possible_reviewers()}
        groups = [(group.name, str(group)) for group in Group.objects.order_by("name")]
        self.fields["group"].choices = [("", _("Choose a group")), *groups]  # type: ignore[attr-defined]
        choices = [(key, _named(user)) for key, user in self._possible.items()]
        self.fields["reviewers"].choices = choices  # type: ignore[attr-defined]
        self.fields["reviewers"].initial = [str(actor.pk)]

    def clean(self) -> dict[str, Any]:
        add_check_errors(self, self._check)
        return self.cleaned_data

    def _check(self, typed: dict[str, Any]) -> None:
        wanted = self._wanted({"due_at": _due_by_default(), "name": "-", **typed})
        chosen = [self._possible[key] for key in typed.get("reviewers", [])]
        check_request(wanted, chosen, timezone.now())

    @property
    def wanted(self) -> ReviewRequest:
        """What the service is asked for."""
        return self._wanted(self.cleaned_data)

    def _wanted(self, typed: dict[str, Any]) -> ReviewRequest:
        return ReviewRequest(
            name=typed["name"],
            due_at=typed["due_at"],
            scope=typed.get("scope", AccessReview.Scope.ALL),
            min_role=typed.get("min_role", ""),
            group=typed.get("group", ""),
            reviewers=[UUID(key) for key in typed.get("reviewers", [])],
            disable_undecided=typed.get("disable_undecided", False),
        )


def _named(user: User) -> str:
    shown = f"{user.name} ({user.email})" if user.name else user.email
    return f"{shown}, {user.get_role_display()}"


class DecideForm(GatehouseForm):
    """One item: what is taken away, and a note. The button says what is decided.

    seen: the fingerprint of the access that the page shows.
    """

    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)
    change = forms.ChoiceField(label=_("Account"), required=False)
    keys = forms.MultipleChoiceField(
        label=_("API keys to revoke"), required=False, widget=forms.CheckboxSelectMultiple
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=NOTE_MAX_LENGTH,
        help_text=_("Why; it is kept with the decision."),
    )

    def __init__(
        self, *args: Any, actor: User, access: Access, keys: Iterable[KeyLine], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.fields["seen"].initial = access.fingerprint
        roles = [
            (role, _("Lower the role to %(role)s") % {"role": label})
            for role, label in lower_roles(actor.role, access.role)
        ]
        self.fields["change"].choices = [  # type: ignore[attr-defined]
            ("", _("Leave as it is")),
            *roles,
            (DISABLE, _("Disable the account")),
        ]
        choices = [(key.id, f"{key.name or key.id}: {key.scopes}") for key in keys]
        self.fields["keys"].choices = choices  # type: ignore[attr-defined]
        if not choices:
            del self.fields["keys"]

    @property
    def removal(self) -> Removal:
        """What the service is asked to take away."""
        change = self.cleaned_data["change"]
        return Removal(
            role="" if change == DISABLE else change,
            disable=change == DISABLE,
            keys=self.cleaned_data.get("keys", []),
        )


class CloseForm(GatehouseForm):
    """Why a review is closed before all is decided."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX_LENGTH,
        help_text=_("It is kept with the review and in the audit log."),
    )


class ConfirmManyForm(GatehouseForm):
    """A note for all confirmed rows."""

    note = forms.CharField(label=_("Note"), required=False, max_length=NOTE_MAX_LENGTH)


def ticked_ids(values: Iterable[str]) -> list[UUID]:
    """The ids among `values`, without duplicates; other texts are left out."""
    return list(dict.fromkeys(key for key in map(as_uuid, values) if key is not None))
