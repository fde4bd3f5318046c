"""What the dashboard shows."""

from typing import Any


def context() -> dict[str, Any]:
    """Template context of the dashboard."""
    return {}
