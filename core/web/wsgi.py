"""What stands in front of Django needs of a WSGI application and of a request."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def whole_answer(application: Application, environ: Environ) -> tuple[str, Headers, bytes]:
    """Let `application` answer, and close it. Returns status, headers and body."""
    started: list[Any] = []
    response = application(environ, lambda *arguments: started.extend(arguments))
    try:
        body = b"".join(response)
    finally:
        getattr(response, "close", int)()
    status, headers = started[:2]
    return status, headers, body


def read_short_body(environ: Environ, most: int) -> bytes:
    """The body of a request, which Django can read again; b"" if it is longer than `most` bytes."""
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or int(length) > most:
        return b""
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(body)
    return body
