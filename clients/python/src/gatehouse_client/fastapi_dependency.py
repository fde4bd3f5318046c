"""A dependency for FastAPI."""

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from gatehouse_client.asgi import find_in
from gatehouse_client.errors import GatehouseClientError, NotAuthenticated
from gatehouse_client.gatehouse import Gatehouse
from gatehouse_client.identity import Identity


class RequireUser:
    """The user of a request: `user: Annotated[Identity, Depends(RequireUser(gate))]`.

    role: the lowest role. scope: of the credential. FastAPI calls it in a thread of its pool.
    """

    def __init__(self, gate: Gatehouse, *, role: str = "viewer", scope: str = "") -> None:
        self._gate, self._role, self._scope = gate, role, scope

    def __call__(self, connection: HTTPConnection) -> Identity:
        try:
            found = find_in(self._gate, connection.scope, role=self._role, is_required=True)
            if found is None:
                raise NotAuthenticated
            found.require(scope=self._scope)
        except GatehouseClientError as error:
            raise HTTPException(error.status, str(error), error.headers or None) from error
        return found
