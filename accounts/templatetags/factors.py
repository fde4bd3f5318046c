"""The section "Second factors" of the account page: `{% load factors %}{% second_factors %}`."""

from typing import Any

from django import template
from django.conf import settings
from django.template import Context

from accounts import remembered
from accounts.browser import device_name
from accounts.services import authenticators, recovery

register = template.Library()


@register.inclusion_tag("accounts/_second_factors.html", takes_context=True)
def second_factors(context: Context) -> dict[str, Any]:
    """The person's app, passkeys, recovery codes and remembered browsers."""
    user = context["user"]
    return {
        "user": user,
        "csrf_token": context.get("csrf_token", ""),
        "app": authenticators.app_of(user),
        "has_factor": authenticators.has_factor(user),
        "is_required": user.role in settings.MFA_REQUIRED_ROLES,
        "codes": recovery.standing(user),
        "browsers": [
            {
                "id": row.pk,
                "device": device_name(row.user_agent),
                "created_at": row.created_at,
                "expires_at": row.expires_at,
            }
            for row in remembered.browsers_of(user)
        ],
    }
