"""How read-only tables show users and results."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING
from accounts.models import User
from audit.models import AuditEvent

SHORT_ID_LENGTH = 8


def user_link(key: UUID | None, email: str | None) -> str | SafeString:
    """A link with the user's address; the end of the id for a deleted account; a dash for none."""
    if key is None:
        return NOTHING
    if not email:
        return format_html('<code title="{}">{}…</code>', key, str(key)[-SHORT_ID_LENGTH:])
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[key]), email
    )


def badge(tone: str, text: Any) -> SafeString:
    """A coloured label. tone: good, bad, warn or plain."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, text)


def with_emails(rows: "QuerySet[AuditEvent]") -> "QuerySet[AuditEvent]":
    """Annotate with actor_email and target_email: current addresses, None for deleted accounts."""
    emails = User.objects.values("email")
    return rows.annotate(
        actor_email=Subquery(emails.filter(pk=OuterRef("actor_id"))[:1]),
        target_email=Subquery(emails.filter(pk=OuterRef("target_id"))[:1]),
    )


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


_RESULTS: dict[str, tuple[str, Any]] = {
    "success": ("good", gettext_lazy("done")),
    "refused": ("warn", gettext_lazy("refused")),
    "failure": ("bad", gettext_lazy("failed")),
}
