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


def make_secret() -> str:
    """A new secret, as receivers enter it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


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
