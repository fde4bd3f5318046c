"""The apps on the account page: `{% load launcher %}{% launcher %}`."""

from typing import Any

from django import template
from django.template import Context

from core.web.client_ip import client_ip
from forward_auth.services.launcher import apps_of

register = template.Library()


@register.inclusion_tag("accounts/_launcher.html", takes_context=True)
def launcher(context: Context) -> dict[str, Any]:
    """The apps that the user may open from where they are."""
    request = context["request"]
    return {"apps": apps_of(request.user, client_ip(request))}
