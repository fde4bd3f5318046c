"""The page "Invite people": a list is pasted or uploaded, checked, and sent.

Every step works without script: the checked list stays in the form, where it can be corrected.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.actors import Actor
from accounts.admin.base import acting_admin
from accounts.admin.checked_forms import CheckedForm, checked_views
from accounts.admin.columns import badge
from accounts.admin.users.forms import (
    GroupsField,
    following_choices,
    offer_groups,
    role_choices,
)
from accounts.forms import EndField, GatehouseForm, add_check_errors
from accounts.models import Invitation
from accounts.roles import Role
from accounts.sent_forms import show_once
from accounts.services.bulk.invitations import (
    MAX_RECIPIENTS,
    SENDS,
    WRONG,
    InvitationLine,
    InvitationOutcome,
    invite_many,
    plan_invitations,
)
from accounts.services.end_dates import check_role_end
from accounts.services.invitations import LIFETIME
from accounts.user_files.address_list import (
    MAX_FILE,
    Recipient,
    parse_recipients,
    read_recipients,
)
from accounts.user_files.tables import FileInvalid
from core.crypto.tokens import digest
from core.errors import GatehouseError

TEMPLATES = "admin/accounts/invitation"
MAX_TEXT = 64 * 1024
LIFETIMES_IN_DAYS = (1, 3, LIFETIME.days, 14, 30)
PURPOSE = "invitation-list"

# Outcome -> tone and text, before and after it was sent.
PLANNED: dict[InvitationOutcome, tuple[str, Any]] = {
    InvitationOutcome.INVITE: ("good", gettext_lazy("Will be invited")),
    InvitationOutcome.RESEND: ("good", gettext_lazy("Gets a new link")),
    InvitationOutcome.OPEN: ("plain", gettext_lazy("Already invited")),
    InvitationOutcome.ACCOUNT: ("plain", gettext_lazy("Has an account")),
    InvitationOutcome.DUPLICATE: ("plain", gettext_lazy("Twice in the list")),
    InvitationOutcome.INVALID: ("bad", gettext_lazy("Not an address")),
    InvitationOutcome.REFUSED: ("bad", gettext_lazy("Not possible")),
}


class InvitedAsForm(GatehouseForm):
    """As what somebody is invited, and how long the invitation lasts."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), initial=Role.VIEWER.value)
    role_until = EndField(
        label=gettext_lazy("Role ends"),
        help_text=gettext_lazy("In your time zone. Empty: the role has no end."),
    )
    role_after = forms.ChoiceField(
        label=gettext_lazy("Role afterwards"),
        required=False,
        help_text=gettext_lazy("A lower one, which holds from then on."),
    )
    groups = GroupsField(label=gettext_lazy("Groups"))
    days = forms.TypedChoiceField(
        label=gettext_lazy("Works for"), coerce=int, initial=LIFETIME.days
    )

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.actor = actor
        self.fields["role"].choices = role_choices(actor)  # type: ignore[attr-defined]
        self.fields["role_after"].choices = following_choices(actor)  # type: ignore[attr-defined]
        offer_groups(self.fields["groups"])
        self.fields["days"].choices = [  # type: ignore[attr-defined]
            (days, ngettext("%(number)d day", "%(number)d days", days) % {"number": days})
            for days in LIFETIMES_IN_DAYS
        ]


class InviteManyForm(InvitedAsForm, CheckedForm):
    """A list of addresses, as text or as a file, with one role and lifetime for all.

    recipients: the parsed list. The text of a file is added to `people`, where it can be corrected.
    """

    field_order = ("people", "file")

    people = forms.CharField(
        label=gettext_lazy("Addresses"),
        required=False,
        max_length=MAX_TEXT,
        strip=False,
        widget=AdminTextareaWidget(
            attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text=gettext_lazy(
            "One a line, or with commas between them. “Anna Example &lt;anna@example.com&gt;” and "
            "cells of a spreadsheet work as well."
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a file"),
        required=False,
        allow_empty_file=True,
        help_text=gettext_lazy("CSV with a column of addresses, or text. At most 256 KB."),
    )
    resend = forms.BooleanField(
        label=gettext_lazy("Invite again"),
        required=False,
        help_text=gettext_lazy(
            "People who are already invited get a new link, and the one that they have stops "
            "working."
        ),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recipients: list[Recipient] = []

    def clean_file(self) -> str:
        file = self.cleaned_data.get("file")
        if not file:
            return ""
        if file.size > MAX_FILE:
            raise ValidationError(_("The file is larger than 256 KB. Split it."))
        try:
            text = read_recipients(file)
        except FileInvalid as error:
            where = _("Line %(line)d: %(message)s")
            raise ValidationError(
                where % {"line": error.line, "message": _(error.message)}
            ) from None
        if len(text) > MAX_TEXT:
            raise ValidationError(_too_many())
        return text

    def clean(self) -> dict[str, Any]:
        """Join the text and the file; the form shows both in `people`."""
        parts = (self.cleaned_data.get("people", ""), self.cleaned_data.get("file", ""))
        text = "\n".join(part.strip("\r\n") for part in parts if part.strip())
        if "people" not in self.errors:
            self.data = {**self.data.dict(), "people": text}  # type: ignore[attr-defined]  # a QueryDict
        add_check_errors(self, self._check_end)
        if not self.errors:
            self._parse(text)
        return self.cleaned_data

    def _check_end(self, typed: dict[str, Any]) -> None:
        """Raise RecordInvalid for an end that the service would refuse."""
        if {"role", "role_until", "role_after"} <= typed.keys():
            until, then = typed["role_until"], typed["role_after"]
            check_role_end(self.actor, typed["role"], until, then, timezone.now())

    def _parse(self, text: str) -> None:
        self.recipients = parse_recipients(text)
        if not self.recipients:
            self.add_error("people", _("Enter at least one address, or choose a file."))
        elif len(self.recipients) > MAX_RECIPIENTS:
            self.add_error("people", _too_many())
        self.cleaned_data["people"] = text

    @property
    def checked(self) -> str:
        """Identifies the list and the choices that were checked."""
        return digest(PURPOSE, repr([self.cleaned_data["people"], sorted(self.wanted.items())]))

    @property
    def wanted(self) -> dict[str, Any]:
        """What plan_invitations() and invite_many() are asked for."""
        names = ("role", "role_until", "role_after", "resend")
        chosen = {name: self.cleaned_data[name] for name in names}
        return {**chosen, "group_ids": self.cleaned_data["groups"]}


def urls(modeladmin: "ModelAdmin[Invitation]") -> list[URLPattern]:
    """many/ shows and checks the list; many/send/ sends it."""
    wrap = modeladmin.admin_site.admin_view

    def make(request: HttpRequest, data: Any) -> InviteManyForm:
        return InviteManyForm(data, request.FILES or None, actor=acting_admin(request))

    def show(request: HttpRequest, form: InviteManyForm, note: str) -> HttpResponse:
        return _form_page(modeladmin, request, form, note=note)

    def act(request: HttpRequest, form: InviteManyForm) -> HttpResponse:
        """Send what was checked, and show the links once."""
        lifetime = timedelta(days=form.cleaned_data["days"])
        lines = invite_many(
            form.recipients, actor=acting_admin(request), lifetime=lifetime, **form.wanted
        )
        return result_page(modeladmin, request, lines, form=form)

    check, send = checked_views(make=make, show=show, act=act, changed=_changed_since)
    return [
        path("many/", wrap(check), name="accounts_invitation_many"),
        path("many/send/", wrap(send), name="accounts_invitation_send-many"),
    ]


def _changed_since() -> str:
    return _("The list has changed since it was checked. Look at it again, then send it.")


def result_page(
    modeladmin: "ModelAdmin[Invitation]",
    request: HttpRequest,
    lines: Iterable[InvitationLine],
    form: InviteManyForm | None = None,
) -> HttpResponse:
    """The links, which only this response shows, and what was not sent.

    form: with whose choices wrong entries can be corrected and checked again.
    """
    lines = list(lines)
    sent = [line for line in lines if line.issued is not None]
    left = [line for line in lines if line.issued is None]
    wrong = [line for line in left if line.outcome in WRONG]
    context = {
        "title": _("Invitations sent") if sent else _("No invitation was sent"),
        "opts": modeladmin.opts,
        "sent": [line.issued for line in sent],
        "all_links": "\n".join(
            f"{line.issued.invitation.email}\t{line.issued.url}"
            for line in sent
            if line.issued is not None
        ),
        "mailed": any(line.issued is not None and line.issued.mailed for line in sent),
        "left": _shown(left),
        "wrong_text": "\n".join(line.recipient.text for line in wrong) if form else "",
        "choices": []
        if form is None
        else [
            (name, form.data.get(name, ""))
            for name in ("role", "role_until", "role_after", "groups", "days")
        ],
    }
    common = modeladmin.admin_site.each_context(request)
    page = render(request, f"{TEMPLATES}/invited_many.html", common | context)
    return show_once(page, reverse("admin:accounts_invitation_changelist"))


def _form_page(
    modeladmin: Any, request: HttpRequest, form: InviteManyForm, note: str = ""
) -> HttpResponse:
    lines: list[InvitationLine] = []
    if form.is_valid():
        actor = acting_admin(request)
        try:
            lines = plan_invitations(form.recipients, actor=actor, **form.wanted)
        except GatehouseError as error:
            form.add_service_errors(error)
    counts = Counter(line.outcome for line in lines)
    form.preview = {  # type: ignore[attr-defined]  # read by the template
        "lines": _shown(lines),
        "sends": sum(counts[outcome] for outcome in SENDS),
        "wrong": sum(counts[outcome] for outcome in WRONG),
        "note": note,
        "checked": form.checked if lines else "",
    }
    page: HttpResponse = modeladmin.own_form_page(
        request, f"{TEMPLATES}/invite_many.html", form, _("Invite people")
    )
    return page


def _shown(lines: Iterable[InvitationLine]) -> list[dict[str, Any]]:
    return [
        {
            "line": line.recipient.line,
            "who": line.recipient.email or line.recipient.text,
            "name": line.recipient.name,
            "badge": badge(*PLANNED[line.outcome]),
            "message": line.message,
        }
        for line in lines
    ]


def _too_many() -> str:
    return _("The list is too long: at most %(maximum)d addresses at once.") % {
        "maximum": MAX_RECIPIENTS
    }
