"""Settings of the limits that apps have counted under names of their own."""

import re
from datetime import timedelta
from typing import NamedTuple

from config.environment.errors import Unreadable
from config.environment.parsing.parsers import read_duration
from config.environment.schema import Section, words
from core.text.plain_text import echo

FIX = (
    "write name:user=number/time, name:ip=number/time or name:concurrent=number, separated by "
    "commas"
)
# Limits of Gatehouse itself go by these names; a name in use twice would mix two scores.
TAKEN = frozenset(
    {
        "api",
        "concurrent",
        "login",
        "magic_link",
        "message",
        "non_browser",
        "registration",
        "reset_password",
        "second_factor",
        "token",
        "verify_email",
    }
)
MAX_COUNT, MAX_CONCURRENT, MAX_WINDOW = 1_000_000, 100, timedelta(days=31)
_ENTRY = re.compile(r"([a-z][a-z0-9_-]{0,39}):(user|ip|concurrent)=(\d{1,7})(?:/(.+))?", re.ASCII)


class ActionLimit(NamedTuple):
    """One limit. by: user, ip or concurrent, which alone has no window."""

    action: str
    by: str
    maximum: int
    window: timedelta | None


def check_action_limits(entries: list[str]) -> tuple[ActionLimit, ...]:
    """The limits that `entries` spell. Raises Unreadable."""
    limits = tuple(_action_limit(entry) for entry in entries)
    seen = [(limit.action, limit.by) for limit in limits]
    for action, by in seen:
        if seen.count((action, by)) > 1:
            raise Unreadable(f"limits {action}:{by} twice", "keep one of the two")
    return limits


def _action_limit(entry: str) -> ActionLimit:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise Unreadable(f"{echo(entry)} is not a limit of an action", FIX)
    action, by, number, window = match.groups()
    if action in TAKEN:
        raise Unreadable(
            f"{echo(action)} is a name that Gatehouse uses itself", "choose another name"
        )
    if (by == "concurrent") != (window is None):
        raise Unreadable(f"{echo(entry)} is not a limit of an action", FIX)
    maximum = MAX_CONCURRENT if window is None else MAX_COUNT
    if not 1 <= int(number) <= maximum:
        raise Unreadable(f"{echo(entry)} is out of range", f"write a number from 1 to {maximum}")
    return ActionLimit(action, by, int(number), _window(window))


def _window(text: str | None) -> timedelta | None:
    if text is None:
        return None
    window = read_duration(text, "minutes")
    if not timedelta(seconds=1) <= window <= MAX_WINDOW:
        raise Unreadable(f"{echo(text)} is not a valid time window", "write a time from 1s to 31d")
    return window


ACTIONS = Section(
    "Limits of actions in apps",
    "Actions that an app can limit besides messages; see docs/moderation-for-apps.md.",
    words(
        "ACTION_LIMITS",
        default="",
        default_note="empty: only message",
        example="image:user=10/1h,image:ip=50/1h,image:concurrent=1",
        check=check_action_limits,
    ).with_help(
        "Limits of actions with names that you choose: how many within which time for one user "
        "(user) or one address (ip), or how many at the same time for one user (concurrent). A "
        "time without a unit is in minutes. Exceeding a limit is a violation of that name with "
        "score 1."
    ),
)
