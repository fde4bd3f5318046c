"""How issuers are compared. Pure."""


def normalize_issuer(text: str) -> str:
    """`text` as issuers are compared: one slash at its end makes no difference."""
    return text.removesuffix("/")
