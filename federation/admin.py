"""Providers in the admin: the section of the page of one user."""

from uuid import UUID

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, moment, with_detail
from accounts.admin.users.row_actions import RowAction, add_row_action, row_button
from accounts.admin.users.sections import Content, Row, add_section, newest
from accounts.models import User
from federation.buttons import label_of
from federation.models import ExternalIdentity
from federation.services.identities import disconnect, is_directory_managed

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
    label = label_of(row.provider)
    cells = (
        label,
        row.email or row.subject[:MAX_SUBJECT_LENGTH],
        moment(row.created_at),
        moment(row.last_used_at, empty=_("never")),
        _reason(row, user),
    )
    if is_directory_managed(row):
        return Row(cells)
    question = _(
        "Disconnect %(name)s from %(provider)s? They can no longer sign in with it, every device "
        "is signed out, and they are notified by mail."
    ) % {"name": user.name or user.email, "provider": label}
    return Row(cells, row_button("disconnect", user, row.pk, question))


def _disconnect(*, actor: User, user: User, key: UUID) -> None:
    disconnect(actor=actor, user=user, identity_id=key)


add_row_action(
    "disconnect",
    RowAction(
        _disconnect,
        gettext_lazy("Disconnect"),
        gettext_lazy("Disconnected, and signed out everywhere."),
    ),
)


def _reason(row: ExternalIdentity, user: User) -> str | SafeString:
    """Why the account has its role, and since when."""
    text = row.role_reason or NOTHING
    if user.role_locked:
        kept = _("Kept by an administrator")
        text = f"{kept} ({text})"
    if row.role_decided_at is None:
        return text
    return with_detail(text, moment(row.role_decided_at))


add_section("providers", gettext_lazy("Identities at providers"), identities)
