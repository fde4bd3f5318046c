"""Destinations of the audit log outside the database."""

from pathlib import Path

from config.environment.errors import Unreadable
from config.environment.parsing.urls import is_unencrypted, parse_url, split_url

ANCHOR_FIX = "write an absolute path such as /mnt/worm/anchors.jws, or an https URL"
SYSLOG_FIX = "write it as tls://host, tcp://host or udp://host, with :port if it is another"
SYSLOG_PORTS = {"tls": 6514, "tcp": 601, "udp": 514}


def check_syslog(text: str) -> str:
    """The receiver as scheme://host:port, with the usual port of the scheme if none is given.

    Those are of RFC 5425, RFC 6587 and RFC 5426.
    """
    if not text:
        return text
    parts = split_url(text)
    if parts.scheme not in SYSLOG_PORTS or not parts.hostname:
        raise Unreadable("does not start with tls://, tcp:// or udp:// and a host", SYSLOG_FIX)
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise Unreadable("contains more than a host and a port", SYSLOG_FIX)
    if not parts.hostname.isascii():
        raise Unreadable("has a host name that is not plain ASCII", SYSLOG_FIX)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or SYSLOG_PORTS[parts.scheme]}"


def check_anchor(text: str) -> str:
    """An absolute path of a file, or an https URL; http only for this machine."""
    if not text:
        return text
    if "://" in text:
        url = parse_url(text)
        if is_unencrypted(url):
            raise Unreadable("leads to another machine without TLS", ANCHOR_FIX)
        return url
    path = Path(text)
    if not path.is_absolute() or text.endswith("/"):
        raise Unreadable("is neither an absolute path of a file nor an https URL", ANCHOR_FIX)
    return text
