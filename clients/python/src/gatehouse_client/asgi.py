"""Middleware for any ASGI app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gatehouse_client.errors import Forbidden, GatehouseClientError, NotAuthenticated
from gatehouse_client.gatehouse import Gatehouse
from gatehouse_client.identity import Identity

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# The key of the scope with the user.
IDENTITY = "gatehouse"
POLICY_VIOLATION = 1008


class GatehouseMiddleware:
    """Puts the user into `scope["gatehouse"]`, and answers 401, 403 and 503 itself.

    role: the lowest role that may enter. is_required: False lets requests without a credential
    through, with None as their user; a wrong credential is refused all the same.
    """

    def __init__(
        self, app: App, gate: Gatehouse, *, role: str = "viewer", is_required: bool = True
    ) -> None:
        self._app, self._gate, self._role, self._is_required = app, gate, role, is_required

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            # It may ask Gatehouse, and must not block the loop.
            scope[IDENTITY] = await asyncio.to_thread(self._find, scope)
        except GatehouseClientError as error:
            await _refuse(scope, receive, send, error)
            return
        await self._app(scope, receive, send)

    def _find(self, scope: Scope) -> Identity | None:
        return find_in(self._gate, scope, role=self._role, is_required=self._is_required)


def find_in(gate: Gatehouse, scope: Scope, *, role: str, is_required: bool) -> Identity | None:
    """The user of an ASGI scope. Raises GatehouseClientError."""
    client = scope.get("client")
    identity = gate.find(
        headers_of(scope),
        peer=client[0] if client else "",
        # A websocket can change something, and pages of other sites can open one.
        method=scope.get("method", "POST"),
    )
    if identity is None and is_required:
        raise NotAuthenticated
    if identity is not None and role and not identity.has_role(role):
        raise Forbidden
    return identity


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers that matter here. Raises NotAuthenticated if one of them came twice."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name == "cookie" and name in found:
            found[name] += f"; {value.decode('latin-1')}"  # HTTP/2 may split it
        elif name in found and (name in _SINGLE or name.startswith("remote-")):
            raise NotAuthenticated("A header of this request came twice.")
        else:
            found[name] = value.decode("latin-1")
    return found


_SINGLE = frozenset({"authorization", "x-api-key", "origin"})


async def _refuse(scope: Scope, receive: Receive, send: Send, error: GatehouseClientError) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    body = json.dumps({"detail": str(error)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    pairs = [*headers.items(), *error.headers.items()]
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
        }
    )
    await send({"type": "http.response.body", "body": body})
