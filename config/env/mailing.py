"""How mail leaves, made from the settings: one value for the transport to be built from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from config.env.rules import has_smtp
from config.env.sections.mail import make_sender, split_sender

FALLBACK_SENDER = "gatehouse@localhost"


class Settings(Protocol):
    """What mail_settings() reads: an Environment, or a plain mapping in a test."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`sender` is a From header; the other fields count for their transport alone."""

    transport: Literal["resend", "smtp", "none"] = "none"
    sender: str = FALLBACK_SENDER
    api_key: str = field(default="", repr=False)
    api_url: str = ""
    host: str = ""
    port: int = 0
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    allow_selfsigned: bool = False


def mail_settings(env: Settings | Mapping[str, Any]) -> MailSettings:
    """Resend when its key is set, else SMTP when a server is named, else nothing is sent."""
    if env["RESEND_API_KEY"]:
        return MailSettings(
            "resend", env["RESEND_EMAIL"], env["RESEND_API_KEY"], env["RESEND_API_URL"]
        )
    if has_smtp(env):  # type: ignore[arg-type] # it only looks names up
        return MailSettings(
            "smtp",
            _smtp_sender(env),
            host=env["EMAIL_HOST"],
            port=env["EMAIL_PORT"],
            encryption=env["EMAIL_ENCRYPTION"],
            username=env["EMAIL_USERNAME"] or "",
            password=env["EMAIL_PASSWORD"] or "",
            allow_selfsigned=env["EMAIL_ALLOW_SELFSIGNED"],
        )
    return MailSettings(sender=env["RESEND_EMAIL"] or env["EMAIL_FROM"] or FALLBACK_SENDER)


def _smtp_sender(env: Settings | Mapping[str, Any]) -> str:
    name, address = split_sender(env["EMAIL_FROM"])
    return make_sender(env["EMAIL_FROM_NAME"] or name, address)
