"""Normalizes issuers. Pure."""


def normalize_issuer(text: str) -> str:
    """`text` without a trailing slash, for comparisons."""
    return text.removesuffix("/")
