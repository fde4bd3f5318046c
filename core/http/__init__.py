"""HTTP requests to other servers: bounded in time and size.

Only addresses from the settings, from a document that was fetched from one, and those by https
that owners have stored for the keys of apps may come here; never one that a token or a user names.
For those there is send_guarded().
"""

import http.client
import json
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.message import Message
from functools import lru_cache
from ssl import cert_time_to_seconds
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from django.conf import settings

from core import tracing
from core.http.guarded import Guard, Networks, handlers

TIMEOUT_SECONDS = 3.0
# Token endpoints take longer than static documents.
POST_TIMEOUT_SECONDS = 8.0
# For the whole body, so that a server that sends a byte now and then holds no thread.
DEADLINE_SECONDS = 6.0
MAX_BYTES = 512 * 1024
CHUNK_BYTES = 64 * 1024
MAX_REDIRECTS = 3
SERVER_ERROR = 500
REDIRECTS = (301, 302, 303, 307, 308)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class FetchError(Exception):
    """No usable answer came; the text says why, for the log. `__cause__`: the network's error.

    status: of the answer, 0 when none came.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Response(NamedTuple):
    """An answer, whatever its status. body: b"" for a redirect, and for an error unless asked."""

    status: int
    headers: Message
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises FetchError."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            raise FetchError("the answer is no JSON", self.status) from None
        if not isinstance(document, dict):
            raise FetchError("the answer is no JSON object", self.status)
        return document


Fetch = Callable[[str, bool], dict[str, Any]]


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
    timeout: float,
    allows_http: bool = False,
    reads_errors: bool = False,
) -> Response:
    """Send one request; follows no redirect. Raises FetchError when no answer came.

    timeout: seconds for each step of the connection. reads_errors: also read the body of an answer
    of status 400 and above, as far as it can be read.
    """
    check_url(url, allows_http)
    target, forwarded = internal_url(url)
    request = urllib.request.Request(  # noqa: S310 - checked
        target, data, {"Accept": "application/json", **(headers or {}), **forwarded}, method=method
    )
    opener = _opener(settings.PROVIDER_CA_FILE)
    with _span(method, host=split_url(url).hostname) as span:
        try:
            try:
                answer = opener.open(request, timeout=timeout)
            except HTTPError as error:
                answer = error
            with answer:
                _note_status(span, answer.status)
                return Response(answer.status, answer.headers, _body(answer, reads_errors))
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{url}: {type(error).__name__}: {error}") from error


def send_guarded(
    url: str,
    *,
    headers: Mapping[str, str],
    data: bytes,
    allowed: Networks,
    seconds: float,
    max_bytes: int,
) -> Response:
    """Post to a URL that a user has named; see core.http.guarded. Follows no redirect.

    allowed: networks that it may reach besides public addresses; http reaches only these.
    seconds: for each step, and for the whole exchange up to the headers of the answer. The body of
    the Response is the beginning of the answer, at most max_bytes, whatever the status.

    Raises FetchError when no answer came. Its text names neither the URL nor its host, and its
    cause is AddressRefused if the address is not allowed.
    """
    if url.partition(":")[0].lower() not in ("https", "http"):
        raise FetchError("the URL is neither https nor http")
    request = urllib.request.Request(url, data, dict(headers), method="POST")  # noqa: S310 - guarded
    guard = Guard(allowed, seconds)
    opener = _with_errors(handlers(guard, tls_context(settings.PROVIDER_CA_FILE)))
    try:
        try:
            answer = opener.open(request, timeout=seconds)
        except HTTPError as error:
            answer = error
        with answer:
            if guard.is_over:  # a status line that the deadline has cut looks complete
                raise TimeoutError("no answer in time")
            return Response(answer.status, answer.headers, _beginning(answer, guard, max_bytes))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause: Exception = reason if isinstance(reason, Exception) else error
        if guard.is_over:  # the deadline has cut the connection
            cause = TimeoutError("no answer in time")
        raise FetchError(f"{type(cause).__name__}: {cause}"[:300]) from cause
    finally:
        guard.close()


def fetch_json(
    url: str, allows_http: bool = False, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at `url`, or where the same host redirects to. Raises FetchError."""
    origin = _origin(url)
    for _hop in range(MAX_REDIRECTS):
        answer = send("GET", url, headers=headers, timeout=TIMEOUT_SECONDS, allows_http=allows_http)
        if answer.status not in REDIRECTS:
            if answer.status >= 300:
                raise FetchError(f"{url}: status {answer.status}", answer.status)
            return answer.json_object()
        try:
            url = urljoin(url, answer.headers.get("Location", ""))
        except ValueError:
            raise FetchError(f"{url}: redirects to no address") from None
        if _origin(url) != origin:
            raise FetchError(f"redirects to another host: {str(split_url(url).hostname)[:200]!r}")
    raise FetchError(f"{url}: redirects too often")


def post_form(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str], *, allows_http: bool = False
) -> tuple[int, dict[str, Any]]:
    """Post a form; returns (status, JSON object), where the object of an error may be empty.

    Follows no redirect, because the form holds secrets. Raises FetchError.
    """
    answer = send(
        "POST",
        url,
        headers=headers,
        data=urlencode(fields).encode(),
        timeout=POST_TIMEOUT_SECONDS,
        allows_http=allows_http,
        reads_errors=True,
    )
    try:
        return answer.status, answer.json_object()
    except FetchError:
        if answer.status < 300:
            raise
        return answer.status, {}


def probe(url: str, allows_http: bool = False) -> str:
    """The Date header of the server at `url`, "" without one; any status below 500 will do.

    Raises FetchError when nothing answers, and for a server error.
    """
    answer = send("GET", url, timeout=TIMEOUT_SECONDS, allows_http=allows_http)
    if answer.status >= SERVER_ERROR:
        raise FetchError(f"{url}: status {answer.status}", answer.status)
    return str(answer.headers.get("Date", ""))


def certificate_end(url: str) -> datetime | None:
    """When the certificate of the server at `url` expires; None if that cannot be seen from here.

    That is so without https, behind a proxy for outgoing requests, and if no valid one is shown.
    """
    parts = split_url(internal_url(url)[0])
    host = parts.hostname or ""
    is_direct = "https" not in getproxies() or bool(proxy_bypass(host))
    if parts.scheme != "https" or not host or not is_direct:
        return None
    context = tls_context(settings.PROVIDER_CA_FILE)
    try:
        with (
            socket.create_connection((host, parts.port or 443), timeout=TIMEOUT_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except OSError:
        return None
    ends = shown.get("notAfter")
    if not isinstance(ends, str):
        return None
    return datetime.fromtimestamp(cert_time_to_seconds(ends), UTC)


def check_url(url: str, allows_http: bool) -> None:
    """Raise FetchError unless `url` is https, or http on localhost or where it is allowed."""
    parts = split_url(url)
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and (allows_http or parts.hostname in LOCAL_HOSTS)
    )
    if not is_safe or not parts.hostname:
        raise FetchError(f"{url[:200]!r} is no https address")


def internal_url(url: str) -> tuple[str, dict[str, str]]:
    """Where to send a request for `url`, and the headers that carry its public name.

    In a container the public name of a provider often resolves to nothing that answers.
    """
    parts = split_url(url)
    internal = settings.PROVIDER_INTERNAL_URLS.get(f"{parts.scheme}://{parts.netloc}".lower())
    if internal is None:
        return url, {}
    path = parts._replace(scheme="", netloc="").geturl()
    headers = {
        "Host": parts.netloc,
        "X-Forwarded-Host": parts.netloc,
        "X-Forwarded-Proto": parts.scheme,
    }
    return f"{internal}{path}", headers


def split_url(url: str) -> SplitResult:
    """The parts of `url`, its port checked. Raises FetchError."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise FetchError(f"{url[:200]!r} is no address") from None
    return parts


def _span(method: str, host: str | None) -> AbstractContextManager[tracing.Span]:
    """A span of a request to another server, without its URL, which may hold secrets.

    No `traceparent` is sent: it is nobody else's business which requests belong together.
    """
    address = {} if host is None else {"server.address": host}
    return tracing.span(method, {"http.request.method": method, **address}, is_client=True)


def _note_status(span: tracing.Span, status: int) -> None:
    span.note({"http.response.status_code": status})
    if status >= 400:
        span.fail(str(status))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = split_url(url)
    return parts.scheme, parts.hostname, parts.port


def _body(answer: Any, reads_errors: bool) -> bytes:
    if answer.status < 300:
        return _read(answer)
    if answer.status in REDIRECTS or not reads_errors:
        return b""
    try:
        return _read(answer)
    except (OSError, http.client.HTTPException, FetchError):
        return b""


def _read(answer: Any) -> bytes:
    """The body. Raises FetchError when it is too long or takes too long."""
    end = time.monotonic() + DEADLINE_SECONDS
    body = bytearray()
    while chunk := answer.read1(CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BYTES:
            raise FetchError(f"the answer is larger than {MAX_BYTES // 1024} KiB", answer.status)
        if time.monotonic() > end:
            raise FetchError("the answer takes too long", answer.status)
    return bytes(body)


def _beginning(answer: Any, guard: Guard, max_bytes: int) -> bytes:
    """The first bytes of the body, as far as they arrive before the deadline."""
    body = bytearray()
    try:
        while len(body) < max_bytes and not guard.is_over:
            chunk = answer.read1(max_bytes - len(body))
            if not chunk:
                break
            body += chunk
    except (OSError, http.client.HTTPException, ValueError):
        pass  # the status has arrived, and that is what counts
    return bytes(body)


@lru_cache(maxsize=4)
def _opener(ca_file: str) -> urllib.request.OpenerDirector:
    """An opener for http and https alone (no files, ftp or data), which follows no redirect.

    ca_file: PEM of an authority to trust beside those of the system, or "".
    """
    return _with_errors(
        [
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=tls_context(ca_file)),
        ]
    )


def _with_errors(found: Iterable[urllib.request.BaseHandler]) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        *found,
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@lru_cache(maxsize=4)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """A context that verifies certificates; see _opener()."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
