"""The branding in a template: `{% load branding %}{% brand as brand %}`.

A tag and not a context processor, because pages for errors are rendered without a request.
"""

from django import template

from core.branding import current

register = template.Library()


@register.simple_tag
def brand() -> current.Brand:
    """The branding that applies now."""
    return current.current()
