"""Providers on pages: `{% load providers %}{% provider_buttons %}`, `{% sign_in_methods %}`."""

from typing import Any

from django import template
from django.template import Context

from accounts.models import User
from federation import buttons
from federation.providers import configured

register = template.Library()


@register.simple_tag
def has_providers() -> bool:
    """Is there a button to show?"""
    return bool(configured())


@register.inclusion_tag("elements/provider_buttons.html", takes_context=True)
def provider_buttons(context: Context) -> dict[str, Any]:
    """A form for each provider; `next` of the page goes along."""
    return {
        "buttons": buttons.buttons(),
        "next": context.get("next") or "",
        "csrf_token": context.get("csrf_token", ""),
    }


@register.inclusion_tag("elements/identities.html", takes_context=True)
def sign_in_methods(context: Context) -> dict[str, Any]:
    """The section of the account page; nothing where there is no provider and no identity."""
    user = context["user"]
    found = buttons.methods_of(user) if isinstance(user, User) else []
    return {
        "methods": found,
        "connectable": buttons.connectable(user) if isinstance(user, User) else buttons.buttons(),
        "csrf_token": context.get("csrf_token", ""),
    }
