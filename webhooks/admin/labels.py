"""How the admin shows endpoints and deliveries."""

from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, badge
from webhooks.events import TEST, TYPES
from webhooks.models import WebhookDelivery, WebhookEndpoint

Status = WebhookDelivery.Status
_TONES = {Status.DELIVERED: "good", Status.FAILED: "bad"}
# (heading, the parts of names before the dot).
_GROUPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (gettext_lazy("Users"), ("user", "invitation")),
    (gettext_lazy("Sign-ins"), ("session", "sign_in")),
    (
        gettext_lazy("Passwords, passkeys and second factors"),
        ("password", "passkey", "second_factor"),
    ),
    (gettext_lazy("Moderation"), ("violation", "ban")),
    (gettext_lazy("API keys"), ("api_key",)),
)


def type_choices() -> list[tuple[Any, list[tuple[str, Any]]]]:
    """The types for checkboxes, in groups."""
    return [
        (
            heading,
            [
                (name, format_html("{} <code>{}</code>", TYPES[name].text, name))
                for name in TYPES
                if name.partition(".")[0] in subjects
            ],
        )
        for heading, subjects in _GROUPS
    ]


def type_text(name: str) -> str:
    """What the type of an event means, in a sentence."""
    if name == TEST:
        return _("A test event.")
    return str(TYPES[name].text) if name in TYPES else ""


def endpoint_link(row: WebhookEndpoint) -> SafeString:
    """The name of an endpoint, with a link to its page."""
    url = reverse("admin:webhooks_webhookendpoint_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row.name)


def endpoint_badge(row: WebhookEndpoint) -> SafeString:
    """Whether an endpoint works, in a word or two."""
    if not row.is_enabled:
        is_by_hand = row.disabled_reason == WebhookEndpoint.DisabledReason.BY_HAND
        return badge("plain" if is_by_hand else "bad", _("Disabled"))
    if row.failing_since is not None:
        return badge("warn", _("Failing"))
    return badge("good", _("Enabled"))


def status_badge(row: WebhookDelivery) -> SafeString:
    """The status of a delivery; one that has failed and is tried again is a warning."""
    if row.status == Status.QUEUED and row.attempts:
        return badge("warn", _("Tried again later"))
    return badge(_TONES.get(Status(row.status), "plain"), row.get_status_display())


def answer_cell(row: WebhookDelivery) -> str:
    """The status of the last answer, or why none came."""
    if row.response_status is not None:
        return _("status %(status)s") % {"status": row.response_status}
    return row.last_error or NOTHING
