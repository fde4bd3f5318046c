"""Reasons of bans, for the banned user. Stored in English, shown in the user's language."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

REASONS = {
    "login": gettext_noop("Too many failed sign-ins."),
    "registration": gettext_noop("Too many sign-ups."),
    "magic_link": gettext_noop("Too many requests for sign-in links."),
    "reset_password": gettext_noop("Too many requests for a new password."),
    "verify_email": gettext_noop("Too many requests for a verification mail."),
    "second_factor": gettext_noop("Too many wrong codes of a second factor."),
    "message": gettext_noop("Too many messages in a short time."),
    "concurrent": gettext_noop("Too many messages at once."),
    "non_browser": gettext_noop("Messages that did not come from a browser."),
}
OTHER = gettext_noop("Limits of this site were exceeded again and again.")
BY_ADMIN = gettext_noop("An administrator decided so.")


def reason_for(violation_type: str) -> str:
    """The stored reason of an automatic ban after a violation of this type."""
    return REASONS.get(violation_type, OTHER)


def shown(reason: str) -> str:
    """A stored reason in the current language; what an administrator typed stays as it is."""
    return _(reason) if reason else _(BY_ADMIN)
