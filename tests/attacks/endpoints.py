"""The endpoints to which a credential can be sent, and their responses."""

import json
from collections.abc import Mapping

from tests.attacks.site import Answer, Site, Visitor

# The statuses without a credential, and for a viewer or editor with a valid one.
ANONYMOUS_STATUSES = {"page": 302, "api": 401, "app": 401, "admin": 302, "session tokens": 401}
BY_KEY_OR_TOKEN = ANONYMOUS_STATUSES | {"api": 200, "app": 200}


def statuses_at_endpoints(
    site: Site, headers: Mapping[str, str], visitor: Visitor | None = None
) -> dict[str, int]:
    """The status at each endpoint for these headers; visitor: whose cookies are sent, at the app
    those that browsers send there."""
    visitor = visitor or site.visitor()
    return {
        "page": visitor.send("GET", "/account/", None, headers).status,
        "api": visitor.send("GET", "/api/v1/me", None, headers).status,
        "app": site.proxied_app.ask("/", {**headers, **cookies_at_app(site, visitor)}).status,
        "admin": visitor.send("GET", "/admin/", None, headers).status,
        "session tokens": visitor.send("POST", "/api/v1/auth/token/session", {}, headers).status,
    }


def cookies_at_app(site: Site, visitor: Visitor) -> dict[str, str]:
    return site.at_app(visitor) if any("gatehouse_gate" in name for name in visitor.cookies) else {}


def code_of(answer: Answer) -> tuple[int, str]:
    """Status and code of a refused call to the API; "" when it was not refused."""
    said = json.loads(answer.body) if answer.body else {}
    return answer.status, said.get("code", "")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
