"""`{{ code|role_name }}`: the name of a role."""

from typing import Any

from django import template

from accounts.models import ROLE_LABELS

register = template.Library()
_NAMES: dict[str, Any] = dict(ROLE_LABELS)


@register.filter
def role_name(code: str) -> str:
    """The name of the role with that code in the reader's language; "" for none."""
    return str(_NAMES.get(code, ""))
