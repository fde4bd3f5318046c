"""Asks Gatehouse whose credential it is (RFC 7662), with a small cache."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, urlencode

from gatehouse_client.errors import ClientRefused, Unavailable
from gatehouse_client.http import Answer, Connections

PATH = "/api/v1/introspect"
MAX_TOKEN = 16 * 1024
Claims = dict[str, Any]
# A body to an answer.
Ask = Callable[[bytes], Answer]


class Introspector:
    """Asks one Gatehouse, as one app.

    cache_seconds: for how long an answer is reused, and by how much a ban may lag; 0 asks each
    time. inactive_seconds: the same for credentials that let nobody in. max_entries: how many
    answers are kept; the one that was not used for the longest time goes first.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        cache_seconds: float = 5.0,
        inactive_seconds: float = 1.0,
        max_entries: int = 1000,
        timeout: float = 5.0,
        ask: Ask | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not client_id or not client_secret:
            raise ValueError("Asking Gatehouse needs the client id and a secret of an app.")
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()
        self._header = f"Basic {base64.b64encode(pair).decode()}"
        self._connections = Connections(url, timeout)
        self._ask, self._clock = ask or self._post, clock
        self._active_seconds, self._inactive_seconds = cache_seconds, inactive_seconds
        self._max_entries = max_entries
        self._answers: OrderedDict[bytes, tuple[float, Claims | None]] = OrderedDict()
        self._lock = threading.Lock()

    def introspect(self, token: str, client_ip: str = "") -> Claims | None:
        """What Gatehouse tells about a credential; None if it lets nobody in now.

        client_ip: whence it was sent, which keys need that are limited to networks. Raises
        Unavailable, ClientRefused.
        """
        if not token or len(token) > MAX_TOKEN or "\0" in token:
            return None
        # The cache holds no credential, only digests.
        key = hashlib.sha256(json.dumps([token, client_ip]).encode()).digest()
        is_known, claims = self._find(key)
        if is_known:
            return claims
        fields = {"token": token, **({"client_ip": client_ip} if client_ip else {})}
        claims = _claims_of(self._ask(urlencode(fields).encode()))
        self._keep(key, claims)
        return claims

    def _find(self, key: bytes) -> tuple[bool, Claims | None]:
        with self._lock:
            found = self._answers.get(key)
            if found is None or found[0] <= self._clock():
                return False, None
            self._answers.move_to_end(key)
            return True, found[1]

    def _keep(self, key: bytes, claims: Claims | None) -> None:
        now = self._clock()
        until = now + (self._inactive_seconds if claims is None else self._active_seconds)
        if claims is not None and isinstance(claims.get("exp"), int):
            until = min(until, claims["exp"])
        if until <= now:
            return
        with self._lock:
            self._answers[key] = until, claims
            self._answers.move_to_end(key)
            while len(self._answers) > self._max_entries:
                self._answers.popitem(last=False)

    def _post(self, body: bytes) -> Answer:
        return self._connections.request(
            "POST",
            PATH,
            body,
            {
                "Authorization": self._header,
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
        )


def _claims_of(answer: Answer) -> Claims | None:
    """Raises Unavailable, ClientRefused."""
    if answer.status == 401:
        raise ClientRefused
    if answer.status != 200:
        raise Unavailable
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise Unavailable from None
    if not isinstance(found, dict) or not isinstance(found.get("active"), bool):
        raise Unavailable
    return found if found["active"] else None
