"""Ask a configured provider for a small JSON document: bounded in time and size, never led away.

Only addresses from the settings, or from a document fetched from one, come here; nothing that a
token says does.
"""

import http.client
import ipaddress
import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from django.conf import settings

TIMEOUT_SECONDS = 3.0
# Token endpoints think longer than files are read.
POST_TIMEOUT_SECONDS = 8.0
# From the first byte of the body on; a provider that trickles is given up.
DEADLINE_SECONDS = 6.0
LARGEST_BYTES = 512 * 1024
CHUNK_BYTES = 64 * 1024
MOST_HOPS = 3
SERVER_FAULT = 500
REDIRECTS = (301, 302, 303, 307, 308)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class FetchError(Exception):
    """The document did not come, or is none that we take; says why, for the log.

    status: of the provider's answer, 0 when none came.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


Fetch = Callable[[str, bool], dict[str, Any]]


def fetch_json(
    url: str, allows_http: bool = False, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at `url`. Raises FetchError."""
    try:
        document = json.loads(_fetch(url, allows_http, headers or {}))
    except HTTPError as error:
        raise FetchError(f"{url}: status {error.code}", error.code) from None
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}") from None
    except (ValueError, RecursionError):
        raise FetchError(f"{url}: the answer is no JSON") from None
    if not isinstance(document, dict):
        raise FetchError(f"{url}: the answer is no JSON object")
    return document


def post_form(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str], *, allows_http: bool = False
) -> tuple[int, dict[str, Any]]:
    """Post a form; (status, JSON object), also of a refusal, whose object may be empty.

    Follows no redirect: what is posted holds secrets. Raises FetchError.
    """
    check_address(url, allows_http)
    real, more = reached_at(url)
    request = urllib.request.Request(  # noqa: S310 - checked
        real, urlencode(fields).encode(), {"Accept": "application/json", **headers, **more}
    )
    try:
        with OPENER.open(request, timeout=POST_TIMEOUT_SECONDS) as answer:
            return answer.status, _object(read_bounded(answer))
    except HTTPError as error:
        with error:
            return error.code, _refusal(error)
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}") from None


def _refusal(error: HTTPError) -> dict[str, Any]:
    """What the provider says of its refusal, {} when it cannot be read."""
    try:
        return _object(error.read(CHUNK_BYTES))
    except (OSError, http.client.HTTPException, FetchError):
        return {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise FetchError("the answer is no JSON") from None
    if not isinstance(document, dict):
        raise FetchError("the answer is no JSON object")
    return document


def _fetch(url: str, allows_http: bool, headers: Mapping[str, str]) -> bytes:
    """The body at `url`, or where its own host redirects to. No body of a redirect is read."""
    asked = _split(url)
    for _hop in range(MOST_HOPS):
        check_address(url, allows_http)
        real, more = reached_at(url)
        request = urllib.request.Request(  # noqa: S310 - checked
            real, headers={"Accept": "application/json", **headers, **more}
        )
        try:
            with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return read_bounded(answer)
        except HTTPError as error:
            error.close()
            if error.code not in REDIRECTS:
                raise
            url = urljoin(url, error.headers.get("Location", ""))
        to = _split(url)
        if (to.scheme, to.hostname, to.port) != (asked.scheme, asked.hostname, asked.port):
            raise FetchError(f"redirects to another host: {str(to.hostname)[:200]!r}")
    raise FetchError(f"{url}: redirects too often")


def reach(url: str, allows_http: bool = False) -> str:
    """The Date of whatever answers at `url`, "" where it says none; a refusal is an answer.

    Raises FetchError when nobody answers, or with a fault of the server's own.
    """
    check_address(url, allows_http)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return str(answer.headers.get("Date", ""))
    except HTTPError as error:
        with error:
            if error.code >= SERVER_FAULT:
                raise FetchError(f"{url}: status {error.code}", error.code) from None
            return str(error.headers.get("Date", ""))
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}") from None


def check_address(url: str, allows_http: bool) -> None:
    """Raise FetchError unless `url` is https, or http on this machine or where allowed."""
    parts = _split(url)
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and (allows_http or parts.hostname in LOCAL_HOSTS)
    )
    if not is_safe or not parts.hostname:
        raise FetchError(f"{url[:200]!r} is no https address")


def check_endpoint(url: str, issuer: str) -> None:
    """Raise FetchError unless `url` is one that a document of `issuer` may name.

    http only where the issuer itself is on this machine, and no bare address of an inner network
    unless it is the issuer's own host: a document must not lead us about in here (A099).
    """
    parts, home = _split(url), _split(issuer)
    if parts.scheme == "http" and home.scheme == "http" and home.hostname in LOCAL_HOSTS:
        is_safe = parts.hostname in LOCAL_HOSTS
    else:
        is_safe = parts.scheme == "https" and bool(parts.hostname)
    if not is_safe or (parts.hostname != home.hostname and _is_inner(parts.hostname or "")):
        raise FetchError(f"names {url[:200]!r}, where nothing is asked")


def _is_inner(host: str) -> bool:
    """Is it a bare address that is not one of the internet, or this machine by name?"""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise FetchError(f"{url[:200]!r} is no address") from None
    return parts


def reached_at(url: str) -> tuple[str, dict[str, str]]:
    """Where `url` is asked from here, and headers by which the provider knows its public name.

    In a container the provider's public name often leads nowhere. Browsers and issuers keep it.
    """
    parts = _split(url)
    inner = settings.PROVIDER_INTERNAL_URLS.get(f"{parts.scheme}://{parts.netloc}".lower())
    if inner is None:
        return url, {}
    path = parts._replace(scheme="", netloc="").geturl()
    names = {
        "Host": parts.netloc,
        "X-Forwarded-Host": parts.netloc,
        "X-Forwarded-Proto": parts.scheme,
    }
    return f"{inner}{path}", names


def read_bounded(answer: http.client.HTTPResponse) -> bytes:
    """The body. Raises FetchError when it is too long or takes too long."""
    end = time.monotonic() + DEADLINE_SECONDS
    body = bytearray()
    while chunk := answer.read1(CHUNK_BYTES):
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise FetchError(f"the answer is larger than {LARGEST_BYTES // 1024} KiB")
        if time.monotonic() > end:
            raise FetchError("the answer takes too long")
    return bytes(body)


@lru_cache(maxsize=4)
def _opener(ca_file: str) -> urllib.request.OpenerDirector:
    """Knows http and https alone (no files, no ftp, no data), and follows nothing by itself.

    ca_file: PEM of an authority that counts beside those of the machine, or "".
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


class Opener:
    """Opens what was checked; with the authority of the settings of this moment."""

    def open(self, request: urllib.request.Request, timeout: float) -> Any:
        """The answer, to be read and closed; raises as urllib's openers do."""
        return _opener(settings.PROVIDER_CA_FILE).open(request, timeout=timeout)


OPENER = Opener()
