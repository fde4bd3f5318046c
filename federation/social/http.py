"""Requests to a social provider, with failures as SignInFailed.

The detail of a failure names the host alone: URLs and bodies may hold codes and tokens.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from core import http
from federation.oidc.errors import SignInFailed


def request_json(
    url: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> Any:
    """The JSON value at `url`; with `form`, the answer to a POST of it.

    Raises SignInFailed: provider_unreachable when no answer comes in time, provider_error for any
    answer but a success with JSON.
    """
    host = urlsplit(url).hostname
    data = None if form is None else urlencode(form).encode()
    method = "GET" if form is None else "POST"
    try:
        answer = http.send(
            method, url, headers=headers, data=data, timeout=http.POST_TIMEOUT_SECONDS
        )
    except http.FetchError as error:
        if error.__cause__ is None:
            detail = f"the URL or the answer of {host} is not acceptable"
            raise SignInFailed("provider_error", detail) from None
        detail = f"{host}: {type(error.__cause__).__name__}"
        raise SignInFailed("provider_unreachable", detail) from None
    if answer.status >= 300:
        raise SignInFailed("provider_error", f"{host} answered {answer.status}")
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise SignInFailed("provider_error", f"{host} answered without JSON") from None


def request_object(
    url: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Like request_json(), for answers that are JSON objects."""
    answer = request_json(url, headers=headers, form=form)
    if not isinstance(answer, dict):
        raise SignInFailed("provider_error", f"{urlsplit(url).hostname} answered no object")
    return answer
