"""How the admin displays rules, decisions and the reasons of denials."""

from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, badge
from forward_auth.models import AccessRule
from forward_auth.rules.display import audience, condition_name, conditions
from forward_auth.rules.matching import Effect, Rule

TONES = {Effect.DENY: "bad", Effect.PUBLIC: "warn", Effect.ROLE: "good"}


class Reason(NamedTuple):
    """An error code in a few words for lists, and in a sentence for pages."""

    short: Any
    sentence: Any


REASONS: dict[str, Reason] = {
    "not_authenticated": Reason(
        gettext_lazy("Not signed in"),
        gettext_lazy(
            "The request had no credential, or the session has ended. A ban ends sessions, too."
        ),
    ),
    "forbidden": Reason(
        gettext_lazy("Role or rule"),
        gettext_lazy("The rule allows no one, or requires a higher role than the user had."),
    ),
    "banned": Reason(
        gettext_lazy("Banned"),
        gettext_lazy("The user was banned."),
    ),
    "account_disabled": Reason(
        gettext_lazy("Disabled"),
        gettext_lazy("The account was disabled."),
    ),
    "account_expired": Reason(
        gettext_lazy("Access ended"),
        gettext_lazy("The access of the account had ended by itself."),
    ),
    "setup_pending": Reason(
        gettext_lazy("Not set up"),
        gettext_lazy("The account was not set up yet."),
    ),
    "email_unverified": Reason(
        gettext_lazy("Address not confirmed"),
        gettext_lazy("The email address was not confirmed yet."),
    ),
    "scope_missing": Reason(
        gettext_lazy("Scope missing"),
        gettext_lazy("The API key has no scope for this method."),
    ),
    "api_key_invalid": Reason(
        gettext_lazy("Wrong API key"),
        gettext_lazy("The API key is unknown, revoked, expired, or not for this network."),
    ),
    "token_invalid": Reason(
        gettext_lazy("Wrong token"),
        gettext_lazy("The access token is unknown or revoked, or its session has ended."),
    ),
    "token_expired": Reason(
        gettext_lazy("Token expired"),
        gettext_lazy("The access token has expired. The app has to refresh it."),
    ),
}


def reason_of(code: str) -> Reason:
    """The text of a code; an unknown code is returned unchanged."""
    return REASONS.get(code, Reason(code, ""))


def audience_badge(effect: str, role: str) -> SafeString:
    """Whom a rule allows."""
    label = str(dict(AccessRule.LEVELS).get(role, role))
    return badge(TONES[Effect(effect)], audience(effect, label, role))


def conditions_cell(rule: Rule) -> str | SafeString:
    """Each condition with its value."""
    found = [(condition_name(condition), value) for condition, value in conditions(rule)]
    if not found:
        return _("every request")
    return format_html_join(
        " ", '<span class="condition"><span class="quiet">{}</span> <code>{}</code></span>', found
    )


def rule_link(key: Any, name: str) -> SafeString:
    """The name, linked to the page of the rule."""
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:forward_auth_accessrule_change", args=[key]), name
    )


def target_cell(method: str, host: str, path: str) -> str | SafeString:
    """Method, host and path in one line."""
    where = f"{host}{path}"
    if not (method or where):
        return NOTHING
    return format_html('<span class="quiet">{}</span> <code>{}</code>', method or "?", where or "?")
