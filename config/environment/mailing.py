"""How mail leaves, made from the settings: one value for the transport to be built from. Pure."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from config.environment.cross_checks.general import has_smtp
from config.environment.registry.mail import effective_encryption, make_sender, split_sender
from mail.conf import FALLBACK_SENDER, MailSettings


class Settings(Protocol):
    """What mail_settings() reads: an Environment, or a plain mapping in a test."""

    def __getitem__(self, name: str, /) -> Any: ...


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
            encryption=effective_encryption(env),
            username=env["EMAIL_USERNAME"] or "",
            password=env["EMAIL_PASSWORD"] or "",
            allow_selfsigned=env["EMAIL_ALLOW_SELFSIGNED"],
            ehlo_name=env["EMAIL_EHLO_NAME"]
            or ehlo_name(urlsplit(env["PUBLIC_URL"]).hostname or ""),
        )
    return MailSettings(sender=env["RESEND_EMAIL"] or env["EMAIL_FROM"] or FALLBACK_SENDER)


def _smtp_sender(env: Settings | Mapping[str, Any]) -> str:
    name, address = split_sender(env["EMAIL_FROM"])
    return make_sender(env["EMAIL_FROM_NAME"] or name, address)


def ehlo_name(host: str) -> str:
    """How a machine says hello (RFC 5321, 4.1.3): by its name, an address in brackets."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "localhost"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
