"""Requests to Gatehouse: kept connections, no redirects, bounded answers."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from gatehouse_client.errors import Unavailable

MAX_ANSWER = 256 * 1024
# A kept connection may have been closed by the other side, which is found out by using it.
STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    body: bytes


class Connections:
    """One connection for each thread. url: of Gatehouse. timeout: in seconds, for each step."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("The URL of Gatehouse looks like https://gate.example.com.")
        self.prefix, self._parts, self._timeout = parts.path, parts, timeout
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """The answer. Sends once more if a kept connection is closed. Raises Unavailable."""
        is_kept = getattr(self._local, "connection", None) is not None
        try:
            return self._send(method, path, body, headers)
        except STALE as error:
            self._close()
            if not is_kept:
                raise Unavailable from error
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise Unavailable from error
        try:
            return self._send(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise Unavailable from error

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        connection = self._connection()
        connection.request(method, f"{self.prefix}{path}", body, dict(headers))
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            raise http.client.HTTPException("The answer is too long.")
        return Answer(answer.status, content)

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            host, port = self._parts.hostname or "", self._parts.port
            if self._context is None:
                found = http.client.HTTPConnection(host, port, timeout=self._timeout)
            else:
                found = http.client.HTTPSConnection(
                    host, port, timeout=self._timeout, context=self._context
                )
            self._local.connection = found
        return found

    def _close(self) -> None:
        found = getattr(self._local, "connection", None)
        self._local.connection = None
        if found is not None:
            found.close()
