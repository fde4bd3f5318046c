"""Credentials in headers: ours in each accepted place, and those of apps."""

import base64
import json
from typing import Any

Environ = dict[str, Any]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def key_at(place: str, key: str) -> Environ:
    """An API key as programs can send it."""
    match place:
        case "bearer":
            return {"HTTP_AUTHORIZATION": f"Bearer {key}"}
        case "basic":
            return {"HTTP_AUTHORIZATION": basic("any name", key)}
    return {"HTTP_X_API_KEY": key}


def unsigned(**claims: Any) -> str:
    """A token with these claims and an invalid signature."""
    parts = [{"alg": "ES256", "typ": "at+jwt"}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(text.rstrip("=") for text in texts), "c2lnbmF0dXJl"])


# Sonarr and Radarr, Gitea and Home Assistant, Jellyfin, Windows, and some that say nothing.
OF_APPS: list[Environ] = [
    {"HTTP_X_API_KEY": "0123456789abcdef0123456789abcdef"},
    {"HTTP_X_API_KEY": ""},
    {"HTTP_X_API_KEY": "gate_0123456789"},
    {"HTTP_AUTHORIZATION": "Bearer 0123456789abcdef"},
    {"HTTP_AUTHORIZATION": f"Bearer {unsigned(iss='https://other.example.com', sub='1')}"},
    {"HTTP_AUTHORIZATION": f"Bearer {unsigned(sub='1')}"},
    {"HTTP_AUTHORIZATION": "Bearer a.b.c"},
    {"HTTP_AUTHORIZATION": "Bearer"},
    {"HTTP_AUTHORIZATION": basic("admin", "secret")},
    {"HTTP_AUTHORIZATION": basic("gth_user", "")},
    {"HTTP_AUTHORIZATION": "Basic %%%"},
    {"HTTP_AUTHORIZATION": "Basic"},
    {"HTTP_AUTHORIZATION": "Token 0123456789abcdef"},
    {"HTTP_AUTHORIZATION": 'MediaBrowser Client="x", Token="0123456789abcdef"'},
    {"HTTP_AUTHORIZATION": 'Digest username="u", realm="r", nonce="n", response="r"'},
    {"HTTP_AUTHORIZATION": "Negotiate YIIabc=="},
    {"HTTP_AUTHORIZATION": "0123456789abcdef"},
    {"HTTP_AUTHORIZATION": ""},
    {"HTTP_X_API_KEY": "0123456789abcdef", "HTTP_AUTHORIZATION": basic("admin", "secret")},
]
