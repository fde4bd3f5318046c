"""Secrets and signatures as Standard Webhooks 1.0 specifies them (standardwebhooks.com). Pure."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
# The specification asks for 24 to 64 bytes.
SECRET_BYTES = 32
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64


def make_secret() -> str:
    """A new secret, as receivers enter it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def secret_of(text: str) -> str:
    """A secret that was made elsewhere, as it is stored. Raises ValueError without its text."""
    body = text.strip().removeprefix(PREFIX)
    try:
        key = base64.b64decode(body, validate=True)
    except ValueError:
        raise ValueError("no base64") from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError("too short or too long")
    return PREFIX + base64.b64encode(key).decode()


def sign(secret: str, *, webhook_id: str, at: datetime, body: str) -> str:
    """One signature of the header webhook-signature: `v1,` and HMAC-SHA256 in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    content = f"{webhook_id}.{int(at.timestamp())}.{body}"
    mac = hmac.new(key, content.encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def signature_headers(
    signing_secrets: Iterable[str], *, webhook_id: str, at: datetime, body: str
) -> dict[str, str]:
    """The headers of a delivery. During a rotation there are two secrets; receivers accept any."""
    signatures = [sign(each, webhook_id=webhook_id, at=at, body=body) for each in signing_secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
