"""The requests session of allauth's providers: bounded, without redirects, cookies and netrc.

The detail of a failure names the host alone: URLs and bodies may hold codes and tokens.
"""

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from core import http
from federation.oidc.errors import SignInFailed

# Some providers refuse the user agents of libraries.
USER_AGENT = "Gatehouse"


class ProviderSession(requests.Session):
    """Sends through core.http alone. Raises SignInFailed for any answer but a success."""

    def __init__(self, user_agent: str = USER_AGENT) -> None:
        super().__init__()
        self.trust_env = False
        self.headers = CaseInsensitiveDict({"User-Agent": user_agent, "Accept": "application/json"})
        self.adapters.clear()
        self.mount("https://", BoundedTransport())
        self.mount("http://", BoundedTransport())


class BoundedTransport(BaseAdapter):
    """Passes requests to core.http.send(), which checks the URL and bounds time and size."""

    def send(  # type: ignore[override]  # the caller chooses no limits here
        self, request: requests.PreparedRequest, **_options: Any
    ) -> requests.Response:
        host = urlsplit(request.url or "").hostname
        body: Any = request.body
        try:
            answer = http.send(
                request.method or "GET",
                str(request.url),
                headers={name: _text(value) for name, value in request.headers.items()},
                data=body.encode() if isinstance(body, str) else body,
                timeout=http.POST_TIMEOUT_SECONDS,
            )
        except http.FetchError as error:
            if error.__cause__ is None:
                detail = f"the URL or the answer of {host} is not acceptable"
                raise SignInFailed("provider_error", detail) from None
            detail = f"{host}: {type(error.__cause__).__name__}"
            raise SignInFailed("provider_unreachable", detail) from None
        if answer.status >= 300:
            raise SignInFailed("provider_error", f"{host} answered {answer.status}")
        return _response(request, answer)

    def close(self) -> None:
        """Nothing stays open."""


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header


def _response(request: requests.PreparedRequest, answer: http.Response) -> requests.Response:
    found = requests.Response()
    found.status_code = answer.status
    found.headers = CaseInsensitiveDict(answer.headers.items())
    found.request, found.url = request, request.url or ""
    # Detecting the encoding of a long body takes seconds.
    found.encoding = "utf-8"
    found._content = answer.body
    return found
