"""Filters for requests for a second owner."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def named(text: Any, name: str) -> str:
    """A text with %(name)s, in the language of the reader: `{{ does|named:name }}`."""
    return str(text) % {"name": name}
