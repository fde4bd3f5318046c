"""What apps may do how often, made from the settings: one table by the name of the action. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

Limit = tuple[int, timedelta]
# A crashed app gives nothing back: what goes on at once is forgotten after this.
SLOT_LIFE = timedelta(seconds=60)


class Settings(Protocol):
    """What action_limits() reads: an Environment, or a plain mapping in a test."""

    def __getitem__(self, name: str, /) -> Any: ...


def action_limits(env: Settings | Mapping[str, Any]) -> dict[str, dict[str, Limit]]:
    """Action -> by "user", "ip" or "concurrent" -> how many, in which time.

    "concurrent" counts what goes on at once; its time is how long one may go on unheard of.
    """
    table: dict[str, dict[str, Limit]] = {"message": _of_messages(env)}
    for entry in env["ACTION_LIMITS"]:
        window = SLOT_LIFE if entry.window is None else entry.window
        table.setdefault(entry.action, {})[entry.by] = (entry.maximum, window)
    return table


def _of_messages(env: Settings | Mapping[str, Any]) -> dict[str, Limit]:
    limits: dict[str, Limit] = {}
    if env["LIMIT_MESSAGE_USER"]:
        limits["user"] = (env["MESSAGE_USER_MAX"], env["MESSAGE_USER_WINDOW"])
    if env["LIMIT_MESSAGE_IP"]:
        limits["ip"] = (env["MESSAGE_IP_MAX"], env["MESSAGE_IP_WINDOW"])
    if env["LIMIT_CONCURRENT_MESSAGES"]:
        limits["concurrent"] = (env["CONCURRENT_MESSAGE_MAX"], SLOT_LIFE)
    return limits
