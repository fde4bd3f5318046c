"""Serves the site below a path of its host, as in PUBLIC_URL=https://example.com/gate.

A proxy may pass the path on or remove it. FORCE_SCRIPT_NAME makes Django add the path to every URL.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.urls import set_script_prefix

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def mount(application: Application) -> Application:
    """A WSGI application that accepts paths with and without the path of PUBLIC_URL."""
    prefix: str = settings.PUBLIC_PATH
    if not prefix:
        return application
    below = f"{prefix}/"

    def mounted(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(below) or path == prefix:
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return application(environ, start)

    return mounted


def use_in_this_thread() -> None:
    """Set the path for reverse() in a thread that handles no requests."""
    set_script_prefix(f"{settings.PUBLIC_PATH}/")
