"""Values for display, without secrets."""

from datetime import timedelta
from typing import Any

from config.environment.parsing.urls import hide_password
from config.environment.schema import Kind, Variable
from core.text.durations import format_duration

SET = "(set)"


def display_value(variable: Variable, value: Any) -> str:
    """`value` as it would be written in .env; for secrets only whether they are set."""
    if value is None or value == []:
        return ""
    if variable.secret:
        return SET
    if variable.kind is Kind.DATABASE_URL:
        return hide_password(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
