"""Template tags: `{% load providers %}{% provider_buttons %}`, `{% sign_in_methods %}`."""

from typing import Any

from django import template
from django.template import Context

from accounts.models import User
from federation import buttons

register = template.Library()


@register.simple_tag
def has_providers() -> bool:
    """Does a page offer a provider?"""
    return bool(buttons.buttons())


@register.inclusion_tag("elements/provider_buttons.html", takes_context=True)
def provider_buttons(context: Context) -> dict[str, Any]:
    """A form for each provider, which passes on `next` of the page."""
    return {
        "buttons": buttons.buttons(),
        "next": context.get("next") or "",
        "csrf_token": context.get("csrf_token", ""),
    }


@register.inclusion_tag("elements/identities.html", takes_context=True)
def sign_in_methods(context: Context) -> dict[str, Any]:
    """The section of the account page; empty without providers and identities."""
    user = context["user"]
    found = buttons.methods_of(user) if isinstance(user, User) else []
    return {
        "methods": found,
        "connectable": buttons.connectable(user) if isinstance(user, User) else buttons.buttons(),
        "csrf_token": context.get("csrf_token", ""),
    }
