"""Structured logs: one JSON object a line, from a fixed list of fields, so no secret slips in."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from core import tracing
from core.web.request_context import get_request_context

# The fields of `extra` that are written; docs/logging.md explains them.
FIELDS = (
    "method",
    "route",
    "status",
    "milliseconds",
    "count",
    "kind",
    "reason",
    "mail_id",
    "delivery",
    "job",
    "kid",
    "role",
    "by",
)


class PathFilter(logging.Filter):
    """Django's own messages repeat the path of a request, which may hold a live link: hide it.

    The route says enough.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path and isinstance(record.args, tuple):
            match = getattr(request, "resolver_match", None)
            shown = f"/{match.route}" if match else "(a path)"
            record.args = tuple(shown if arg == path else arg for arg in record.args)
        return True


class JSONFormatter(logging.Formatter):
    """Time, level, logger, message, request id and the FIELDS of `extra`; traces without locals."""

    def format(self, record: logging.LogRecord) -> str:
        context = get_request_context()
        content: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if context.request_id:
            content |= {"request_id": context.request_id, "ip": context.ip}
        trace_id = tracing.trace_id()
        if trace_id:
            content["trace_id"] = trace_id
        content |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            content["trace"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same fields for a person at a terminal, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = [f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)]
        trace_id = tracing.trace_id()
        return " ".join([line, *fields, *([f"trace_id={trace_id}"] if trace_id else [])])


def logging_settings(level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING for LOG_LEVEL and LOG_FORMAT (json or text); everything goes to stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "config.logging_config.JSONFormatter"},
            "text": {
                "()": "config.logging_config.TextFormatter",
                "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
            },
        },
        "filters": {"paths": {"()": "config.logging_config.PathFilter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["paths"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            "django": {"handlers": [], "propagate": True, "level": level.upper()},
            # Our own line of the request has the status.
            "django.request": {"level": "ERROR", "propagate": True},
            "django.security": {"level": "WARNING", "propagate": True},
            # It logs login names as they were typed; federation.ldap.backend logs the failures.
            "django_auth_ldap": {"level": "CRITICAL", "propagate": True},
            "django.server": {"handlers": [], "propagate": False},
            # It warns of each lot of spans that it drops; config.tracing.exporter says why, once.
            "opentelemetry": {"level": "CRITICAL", "propagate": True},
        },
    }
