"""The log line and the counts of an answered request."""

import logging

from core import metrics

logger = logging.getLogger("gatehouse.request")


def log_request(method: str, route: str, status: int, seconds: float) -> None:
    """Log one line: the route, never the path, which may contain a link."""
    metrics.add("requests", str(status))
    metrics.add("requests_took", by=int(seconds * 1_000_000))
    if logger.isEnabledFor(logging.INFO):
        logger.info(
            "request",
            extra={
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
            },
        )
