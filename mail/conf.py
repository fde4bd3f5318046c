"""How mail leaves: one value that the transports are built from. Pure."""

from dataclasses import dataclass, field
from typing import Literal

FALLBACK_SENDER = "gatehouse@localhost"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`sender` is a From header; the other fields count for their transport alone.

    encryption: auto upgrades where the server offers it, starttls demands it, tls is from the
    start. ehlo_name: what this machine calls itself.
    """

    transport: Literal["resend", "smtp", "none"] = "none"
    sender: str = FALLBACK_SENDER
    api_key: str = field(default="", repr=False)
    api_url: str = ""
    host: str = ""
    port: int = 0
    encryption: Literal["auto", "starttls", "tls", "none"] = "auto"
    username: str = ""
    password: str = field(default="", repr=False)
    allow_selfsigned: bool = False
    ehlo_name: str = "localhost"
