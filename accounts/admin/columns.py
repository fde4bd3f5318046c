"""How tables of the admin show a value: times, users, results, and a dash for nothing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ROLE_LABELS, Invitation, User
from audit.models import AuditEvent
from core.text.time_display import moment_html

NOTHING = "-"
SHORT_ID_LENGTH = 8
# A column of a table: takes the ModelAdmin and the row.
Column = Callable[[Any, Any], str]


def moment(value: datetime | None, empty: str = NOTHING) -> str | SafeString:
    """`3 hours ago`, with the exact time and UTC as its title; `empty` for None."""
    if value is None:
        return empty
    return moment_html(value, timezone.now())


def with_detail(shown: Any, detail: Any) -> SafeString:
    """A value, and below it in quiet letters what else is known."""
    return format_html('{} <span class="quiet">{}</span>', shown, detail)


def exact_moment(value: datetime | None, empty: str = NOTHING) -> str | SafeString:
    """The date, time and zone of the reader, with UTC as its title; `empty` for None."""
    return empty if value is None else moment_html(value, timezone.now(), "exact")


def moment_column(field: str, description: Any, empty: Any = NOTHING, ordering: str = "") -> Column:
    """A column that shows the time in `field`; see moment().

    If `sortable_by` names it, the list can be sorted by `ordering`, or else by `field`.
    """

    @admin.display(description=description, ordering=ordering or field)
    def column(_table: Any, row: Any) -> str:
        return moment(getattr(row, field), empty=str(empty))

    return column


def exact_column(field: str, description: Any, empty: Any = NOTHING) -> Column:
    """A field of a page that shows the time in `field`; see exact_moment()."""

    @admin.display(description=description)
    def column(_table: Any, row: Any) -> str:
        return exact_moment(getattr(row, field), empty=str(empty))

    return column


def exact_field(field: str, label: Any) -> Callable[[Any], str]:
    """See exact_column(); for a list of fields, which calls it with the row only."""

    @admin.display(description=label)
    def shown(row: Any) -> str:
        return exact_moment(getattr(row, field))

    shown.__name__ = field
    return shown


def text_column(field: str, description: Any) -> Column:
    """A column that shows the text in `field`."""

    @admin.display(description=description)
    def column(_table: Any, row: Any) -> str:
        return str(getattr(row, field) or NOTHING)

    return column


def network_column(field: str, description: Any) -> Column:
    """A column that shows the network address in `field`; see network_cell()."""

    @admin.display(description=description)
    def column(_table: Any, row: Any) -> str:
        return network_cell(getattr(row, field))

    return column


def network_cell(address: str | None) -> str:
    """A network address; a word where none is known."""
    return address or _("unknown")


def used_cell(at: datetime, address: str | None) -> str | SafeString:
    """When something was used, and from which network address, if that is known."""
    if not address:
        return moment(at)
    return with_detail(moment(at), address)


def origin_cell(event: AuditEvent) -> str:
    """From where an event came: a network address, or what ran without one."""
    return event.ip or str(_ORIGINS.get(event.channel, _("unknown")))


def user_column(field: str, description: Any) -> Column:
    """A column that shows the user in the foreign key `field`; see user_link()."""

    @admin.display(description=description)
    def column(_table: Any, row: Any) -> str:
        user = getattr(row, field)
        return user_link(getattr(row, f"{field}_id"), user.email if user else None)

    return column


def user_link(key: UUID | None, email: str | None) -> str | SafeString:
    """A link with the user's address; the end of the id for a deleted account; a dash for none."""
    if key is None:
        return NOTHING
    if not email:
        return format_html('<code title="{}">{}…</code>', key, str(key)[-SHORT_ID_LENGTH:])
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[key]), email
    )


def until(end: datetime) -> SafeString:
    """`until Dec. 4, 2026`, with the time as its title."""
    return format_html(_("until {}"), moment_html(end, timezone.now(), "day"))


def role_cell(row: User | Invitation) -> str | SafeString:
    """The role; with an end also until when, and which role follows."""
    role = row.get_role_display()
    if row.role_until is None or row.role_until <= timezone.now():
        return str(role)
    following = dict(ROLE_LABELS)[row.role_after]
    end = format_html(_("{}, then {}"), until(row.role_until), following)
    return format_html('{}<br><span class="ends">{}</span>', role, end)


def badge(tone: str, text: Any) -> SafeString:
    """A coloured label. tone: good, bad, warn or plain."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, text)


def actor_cell(event: AuditEvent) -> str | SafeString:
    """The actor; "system" if there is none and the event is not from the web."""
    if event.actor_id is None and event.channel != "web":
        return _("system")
    return user_link(event.actor_id, getattr(event, "actor_email", None))


def target_cell(event: AuditEvent) -> str | SafeString:
    """The user whom the event is about."""
    return user_link(event.target_id, getattr(event, "target_email", None))


def result_badge(event: AuditEvent) -> SafeString:
    """The result as a badge."""
    tone, text = _RESULTS.get(event.result, ("plain", event.result))
    return badge(tone, text)


_ORIGINS: dict[str, Any] = {
    "command": gettext_lazy("command line"),
    "worker": gettext_lazy("background job"),
}
_RESULTS: dict[str, tuple[str, Any]] = {
    "success": ("good", gettext_lazy("done")),
    "refused": ("warn", gettext_lazy("refused")),
    "failure": ("bad", gettext_lazy("failed")),
}
