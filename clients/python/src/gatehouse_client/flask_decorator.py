"""A decorator for the views of Flask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request

from gatehouse_client.errors import GatehouseClientError
from gatehouse_client.gatehouse import Gatehouse

View = Callable[..., Any]


def require_user(
    gate: Gatehouse, *, role: str = "viewer", scope: str = "", group: str = ""
) -> Callable[[View], View]:
    """Put the user into `g.user`; 401, 403 or 503 unless they have all of these."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            try:
                g.user = gate.authenticate(
                    dict(request.headers.items()),
                    peer=request.remote_addr or "",
                    method=request.method,
                )
                g.user.require(role=role, scope=scope, group=group)
            except GatehouseClientError as error:
                return {"detail": str(error)}, error.status, error.headers
            return view(*arguments, **options)

        return wrapped

    return decorate
