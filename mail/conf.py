"""The settings of the mail transports. Pure."""

from dataclasses import dataclass, field
from typing import Literal

FALLBACK_SENDER = "gatehouse@localhost"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """sender: a From header. The other fields apply to one transport only.

    encryption: auto uses STARTTLS if the server offers it, starttls requires it, tls encrypts from
    the start. ehlo_name: the name of this machine in EHLO.
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
