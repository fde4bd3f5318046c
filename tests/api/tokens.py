"""Tokens for tests: signing in, refreshing and calling as a program does, and forging."""

import base64
import json
from typing import Any

from django.test import Client

from accounts.models import User
from api.models import TokenFamily
from api.tokens import refresh_tokens
from api.tokens.jws import ALGORITHMS
from api.tokens.jwt import AccessToken
from tests.conftest import PASSWORD

API = "/api/v1"


def post(path: str, body: Any, client: Client | None = None, **headers: str) -> Any:
    """The answer to a program's POST; without `client` it has no cookies."""
    return (client or Client()).post(
        f"{API}/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def sign_in(user: User, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    """The body of a successful sign-in."""
    answer = post("auth/token", {"email": user.email, "password": password, **more})
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def refreshed(token: str) -> Any:
    """The answer to a refresh."""
    return post("auth/token/refresh", {"refresh": token})


def me(access: str) -> Any:
    """The answer to a call with that access token."""
    return bearer(f"Bearer {access}")


def bearer(header: str) -> Any:
    """The answer to a call with that header Authorization."""
    return Client().get(f"{API}/me", headers={"authorization": header})


def family_of_access(access: str) -> TokenFamily:
    """The sign-in of an access token, as the API finds it."""
    return refresh_tokens.family_of_access(AccessToken.read(access))


def outcome(answer: Any) -> tuple[int, str]:
    """Status and code; "" when there is no code."""
    content = answer.json() if answer.content else {}
    return answer.status_code, content.get("code", "")


def encoded(content: bytes | dict[str, Any]) -> str:
    """base64url without padding; of an object its JSON."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    """The JSON in one part of a token."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def resigned(access: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """An access token with other claims and header members, rightly signed by our own key.

    None takes a member away.
    """
    first, second, _ = access.split(".")
    head = _changed(decoded(first), header or {})
    body = _changed(decoded(second), claims)
    signer = AccessToken.backend.keys.signer()
    signed = f"{encoded(head)}.{encoded(body)}"
    algorithm = ALGORITHMS[signer.algorithm]
    key = algorithm.prepare_key(signer.key)
    return f"{signed}.{encoded(algorithm.sign(signed.encode(), key))}"


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}
