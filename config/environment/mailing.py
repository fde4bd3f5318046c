"""Makes the settings of the mail transport from the environment. Pure."""

import ipaddress
from urllib.parse import urlsplit

from config.environment.registry.mail import effective_encryption, make_sender, split_sender
from config.environment.schema import Values
from mail.conf import FALLBACK_SENDER, MailSettings


def mail_settings(env: Values) -> MailSettings:
    """Resend when its key is set, else SMTP when a server is named, else nothing is sent."""
    if env["RESEND_API_KEY"]:
        return MailSettings(
            "resend", env["RESEND_EMAIL"], env["RESEND_API_KEY"], env["RESEND_API_URL"]
        )
    if env["EMAIL_HOST"]:
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


def _smtp_sender(env: Values) -> str:
    name, address = split_sender(env["EMAIL_FROM"])
    return make_sender(env["EMAIL_FROM_NAME"] or name, address)


def ehlo_name(host: str) -> str:
    """How a machine says hello (RFC 5321, 4.1.3): by its name, an address in brackets."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "localhost"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
