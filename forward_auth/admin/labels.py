"""How the admin displays rules and decisions."""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.admin.columns import NOTHING, badge
from applications.models import App
from forward_auth.models import AccessRule
from forward_auth.rules.display import audience, condition_name, conditions
from forward_auth.rules.matching import Effect, Rule

TONES = {Effect.DENY: "bad", Effect.PUBLIC: "warn", Effect.ROLE: "good"}


def audience_badge(effect: str, role: str, groups: Iterable[str] = ()) -> SafeString:
    """Whom a rule allows."""
    label = str(dict(AccessRule.LEVELS).get(role, role))
    return badge(TONES[Effect(effect)], audience(effect, label, role, groups))


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


def app_link(app: App) -> SafeString:
    """The name, linked to the page of the app."""
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:applications_app_change", args=[app.pk]), app.name
    )


def target_cell(method: str, host: str, path: str) -> str | SafeString:
    """Method, host and path in one line."""
    where = f"{host}{path}"
    if not (method or where):
        return NOTHING
    return format_html('<span class="quiet">{}</span> <code>{}</code>', method or "?", where or "?")
