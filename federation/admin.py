"""Providers in the admin: the section of the page of one user."""

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, moment
from accounts.admin.users.sections import Content, Row, add_section, newest
from accounts.models import User
from federation.buttons import label_of
from federation.models import ExternalIdentity

MAX_SUBJECT_LENGTH = 60


def identities(_request: HttpRequest, user: User) -> Content:
    """Accounts elsewhere with which the user signs in, and why they have their role."""
    rows = newest(user.identities.order_by("id"))
    return Content(
        (_("Provider"), _("Known there as"), _("Connected"), _("Last used"), _("Why this role")),
        [_row(row, user) for row in rows],
        empty=_("None."),
    )


def _row(row: ExternalIdentity, user: User) -> Row:
    return Row(
        (
            label_of(row.provider),
            row.email or row.subject[:MAX_SUBJECT_LENGTH],
            moment(row.created_at),
            moment(row.last_used_at, empty=_("never")),
            _reason(row, user),
        )
    )


def _reason(row: ExternalIdentity, user: User) -> str | SafeString:
    """Why the account has its role, and since when."""
    text = row.role_reason or NOTHING
    if user.role_locked:
        kept = _("Kept by an administrator")
        text = f"{kept} ({text})"
    if row.role_decided_at is None:
        return text
    return format_html('{} <span class="quiet">{}</span>', text, moment(row.role_decided_at))


add_section("providers", gettext_lazy("Identities at providers"), identities)
