"""The objects of a new Authentik that the set-up reads."""

from typing import Any
from uuid import uuid4

Record = dict[str, Any]


def mapping(name: str, scope: str, expression: str = "return {}", managed: str = "") -> Record:
    shipped = managed or f"goauthentik.io/providers/oauth2/scope-{scope}"
    return {
        "pk": str(uuid4()),
        "name": name,
        "scope_name": scope,
        "expression": expression,
        "managed": shipped if managed != "none" else None,
    }


def key(name: str, kind: str = "rsa", managed: str | None = None) -> Record:
    return {"pk": str(uuid4()), "name": name, "key_type": kind, "managed": managed}


def flow(slug: str, designation: str) -> Record:
    return {"pk": str(uuid4()), "slug": slug, "designation": designation, "name": slug}


def fresh_state() -> dict[str, list[Record]]:
    """The lists by the path that they have in the API."""
    return {
        "/providers/oauth2/": [],
        "/core/applications/": [],
        "/propertymappings/provider/scope/": [
            mapping("authentik default OAuth Mapping: OpenID 'openid'", "openid"),
            mapping("authentik default OAuth Mapping: OpenID 'email'", "email"),
            mapping("offline", "offline_access"),
            mapping("profile", "profile", 'return {"name": "", "groups": []}'),
        ],
        "/crypto/certificatekeypairs/": [
            key("another", "ed25519"),
            key("authentik Internal JWT Certificate", managed="goauthentik.io/crypto/jwt"),
            key("old VPN"),
            key("authentik Self-signed Certificate"),
        ],
        "/flows/instances/": [
            flow("default-provider-authorization-explicit-consent", "authorization"),
            flow("default-invalidation-flow", "invalidation"),
            flow("default-provider-invalidation-flow", "invalidation"),
            flow("default-provider-authorization-implicit-consent", "authorization"),
        ],
    }
