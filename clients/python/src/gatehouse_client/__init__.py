"""Verifies the API keys, access tokens and sessions of a Gatehouse, in any Python backend."""

from gatehouse_client.errors import (
    ClientRefused,
    Forbidden,
    GatehouseClientError,
    NotAuthenticated,
    Unavailable,
)
from gatehouse_client.gatehouse import Gatehouse
from gatehouse_client.identity import Identity
from gatehouse_client.introspection import Introspector
from gatehouse_client.tokens import TokenVerifier

__all__ = [
    "ClientRefused",
    "Forbidden",
    "Gatehouse",
    "GatehouseClientError",
    "Identity",
    "Introspector",
    "NotAuthenticated",
    "TokenVerifier",
    "Unavailable",
]
