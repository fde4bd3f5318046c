"""Makes the limits of actions in apps from the environment, by the name of the action. Pure."""

from datetime import timedelta

from config.environment.schema import Values

Limit = tuple[int, timedelta]
# A crashed app does not report the end of an action: it is forgotten after this time.
SLOT_LIFE = timedelta(seconds=60)


def action_limits(env: Values) -> dict[str, dict[str, Limit]]:
    """Action -> by "user", "ip" or "concurrent" -> how many, in which time.

    "concurrent" counts actions in progress; its time is how long one may last without a report.
    """
    table: dict[str, dict[str, Limit]] = {"message": _of_messages(env)}
    for entry in env["ACTION_LIMITS"]:
        window = SLOT_LIFE if entry.window is None else entry.window
        table.setdefault(entry.action, {})[entry.by] = (entry.maximum, window)
    return table


def _of_messages(env: Values) -> dict[str, Limit]:
    limits: dict[str, Limit] = {}
    if env["LIMIT_MESSAGE_USER"]:
        limits["user"] = (env["MESSAGE_USER_MAX"], env["MESSAGE_USER_WINDOW"])
    if env["LIMIT_MESSAGE_IP"]:
        limits["ip"] = (env["MESSAGE_IP_MAX"], env["MESSAGE_IP_WINDOW"])
    if env["LIMIT_CONCURRENT_MESSAGES"]:
        limits["concurrent"] = (env["CONCURRENT_MESSAGE_MAX"], SLOT_LIFE)
    return limits
