"""Random single-use secrets and their stored form. Pure."""

import hashlib
import secrets

TOKEN_BYTES = 32


def make_token() -> str:
    """A new URL-safe secret of 256 bits (43 characters)."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(purpose: str, token: str) -> str:
    """The stored form of `token`: 64 hex digits, bound to `purpose`.

    SHA-256 is enough for a 256-bit random input (ASVS 6.5.2); the purpose in the input prevents
    that a token of one kind is redeemed as another (CVE-2026-110862).
    """
    return hashlib.sha256(f"gatehouse:{purpose}:{token}".encode()).hexdigest()
