"""The account page's section "Second factors": `{% load factors %}{% second_factors %}`."""

from typing import Any

from django import template
from django.conf import settings
from django.template import Context

from accounts.services.second_factors import has_factor, remaining_codes
from accounts.sessions.link_binding import device_name
from mfa import trusted_browsers
from mfa.services import authenticators

register = template.Library()


@register.inclusion_tag("accounts/_second_factors.html", takes_context=True)
def second_factors(context: Context) -> dict[str, Any]:
    """App, passkeys, recovery codes and trusted browsers of the user."""
    user = context["user"]
    return {
        "user": user,
        "csrf_token": context.get("csrf_token", ""),
        "app": authenticators.totp_of(user),
        "has_factor": has_factor(user),
        "is_required": user.role in settings.MFA_REQUIRED_ROLES,
        "codes": remaining_codes(user),
        "browsers": [
            {
                "id": row.pk,
                "device": device_name(row.user_agent),
                "created_at": row.created_at,
                "expires_at": row.expires_at,
            }
            for row in trusted_browsers.browsers_of(user)
        ],
    }
