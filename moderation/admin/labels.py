"""How the admin shows types of violations, bans and scores."""

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, badge, moment, user_link, with_detail
from accounts.models import User
from moderation.models import Ban

TYPES: dict[str, Any] = {
    "login": gettext_lazy("Sign-in"),
    "registration": gettext_lazy("Sign-up"),
    "magic_link": gettext_lazy("Sign-in links"),
    "reset_password": gettext_lazy("Password reset"),
    "verify_email": gettext_lazy("Address verification"),
    "second_factor": gettext_lazy("Second factor"),
    "message": gettext_lazy("Messages"),
    "concurrent": gettext_lazy("Messages at once"),
    "non_browser": gettext_lazy("Not from a browser"),
    "api": gettext_lazy("API"),
}
STATES: dict[str, tuple[str, Any]] = {
    "active": ("bad", gettext_lazy("In force")),
    "lifted": ("good", gettext_lazy("Lifted")),
    "over": ("plain", gettext_lazy("Expired")),
}


def type_label(name: str) -> str:
    """A type in words; a type that an app reported stays as it is."""
    return str(TYPES.get(name, name))


def points(value: float) -> str:
    """A score or total with at most two decimal places: 20, 19.5, 0.71."""
    text = number_format(round(value, 2), decimal_pos=2, use_l10n=True)
    return text.rstrip("0").rstrip(".,") if value else "0"


def target_cell(user: User | None, network: str) -> str | SafeString:
    """The user with a link, the network, or both."""
    if user is None:
        return network or NOTHING
    link = user_link(user.pk, user.email)
    if not network:
        return link
    return with_detail(link, network)


def target_name(ban: Ban) -> str:
    """The user and network of a ban, as plain text."""
    email = ban.user.email if ban.user else ""
    return " · ".join(filter(None, (email, ban.network)))


def state_badge(ban: Ban) -> SafeString:
    """A badge: in force, lifted or expired."""
    return badge(*STATES[ban.state(timezone.now())])


def ban_link(ban: Ban | None, text: Any = None) -> str | SafeString:
    """A link to the page of a ban; a dash for none."""
    if ban is None:
        return NOTHING
    url = reverse("admin:moderation_ban_change", args=[ban.pk])
    return format_html('<a href="{}">{}</a>', url, text or state_badge(ban))


def end_of(ban: Ban) -> str | SafeString:
    """When a ban ends by itself."""
    return moment(ban.until, empty=_("when it is lifted"))


def moments(values: tuple[datetime, ...]) -> str | SafeString:
    """The first time, and how many more there are."""
    if not values:
        return NOTHING
    more = _("and %(count)d more") % {"count": len(values) - 1} if len(values) > 1 else ""
    parts = [(moment(values[0]),), *([(more,)] if more else [])]
    return format_html_join(" ", "{}", parts)
