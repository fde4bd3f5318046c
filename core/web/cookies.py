"""Cookies: one set of attributes for all that no script reads."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase


def set_cookie(
    response: HttpResponseBase,
    name: str,
    value: str,
    lifetime: timedelta | None,
    **options: Any,
) -> None:
    """Set a cookie that no script can read, sent over HTTPS only if PUBLIC_URL is https.

    lifetime: None for the session of the browser. options: domain and path, as Django takes them.
    SameSite=Lax, so that the browser sends it when the user follows a link, for example in a mail.
    """
    response.set_cookie(
        name,
        value,
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
        **options,
    )
