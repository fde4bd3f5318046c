"""Ask a provider's own addresses: JSON in bounded time and size, and nothing is followed.

Every failure is a SignInFailed whose detail names the host alone: addresses and bodies may hold
codes and tokens.
"""

import http.client
import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from federation.oidc.errors import SignInFailed
from federation.oidc.fetching import (
    OPENER,
    POST_TIMEOUT_SECONDS,
    FetchError,
    check_address,
    read_bounded,
)

Headers = Mapping[str, str]


def ask(url: str, *, headers: Headers, form: Mapping[str, str] | None = None) -> Any:
    """The JSON value at `url`; a POST of `form` when there is one.

    Raises SignInFailed: provider_unreachable when nobody answers in time, provider_error for
    every answer that is not a success with JSON.
    """
    host = urlsplit(url).hostname
    try:
        check_address(url, allows_http=False)
        body = _body(_request(url, headers, form))
        return json.loads(body)
    except HTTPError as error:
        error.close()
        raise SignInFailed("provider_error", f"{host} answered {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        detail = f"{host}: {type(error).__name__}"
        raise SignInFailed("provider_unreachable", detail) from None
    except FetchError:
        raise SignInFailed("provider_error", f"{host} cannot be asked, or says too much") from None
    except (ValueError, RecursionError):
        raise SignInFailed("provider_error", f"{host} answered without JSON") from None


def ask_object(
    url: str, *, headers: Headers, form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Like ask(), for answers that are JSON objects."""
    answer = ask(url, headers=headers, form=form)
    if not isinstance(answer, dict):
        raise SignInFailed("provider_error", f"{urlsplit(url).hostname} answered no object")
    return answer


def _request(url: str, headers: Headers, form: Mapping[str, str] | None) -> urllib.request.Request:
    data = None if form is None else urlencode(form).encode()
    sent = {"Accept": "application/json", **headers}
    return urllib.request.Request(url, data=data, headers=sent)  # noqa: S310 - checked


def _body(request: urllib.request.Request) -> bytes:
    with OPENER.open(request, timeout=POST_TIMEOUT_SECONDS) as answer:
        return read_bounded(answer)
