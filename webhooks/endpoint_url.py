"""Validates the URL of an endpoint. Pure.

What is refused here could never work, or would put a secret where others see it. Where a name leads
is checked at each delivery; see core.http.guarded.
"""

import re
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

from core.http.guarded import Networks, is_allowed, literal_address

MAX_LENGTH = 500
# Control characters and spaces would end the request line; others are never sent unescaped.
_SENT_AS_IS = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")


def clean_url(text: str, allowed: Networks) -> str:
    """The URL to store. allowed: the networks of WEBHOOK_ALLOWED_NETWORKS.

    Raises ValueError with a message for the administrator.
    """
    url = text.strip()
    if not url:
        raise ValueError(_("Enter the URL of the receiver, such as https://example.com/hooks."))
    if len(url) > MAX_LENGTH:
        raise ValueError(_("The URL is too long: at most %(most)d characters.")
                         % {"most": MAX_LENGTH})  # fmt: skip
    if not _SENT_AS_IS.fullmatch(url):
        raise ValueError(_(
            "Enter the URL without spaces, and in ASCII: other characters escaped, and the name "
            "starting with xn--."
        ))  # fmt: skip
    parts = _split(url)
    _check_parts(parts)
    _check_target(parts, allowed)
    return url


def host_of(url: str) -> str:
    """The host and port of a stored URL: all of it that is no secret. "" if there is none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = parts.hostname or ""
    return (f"[{host}]" if ":" in host else host) + port


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise ValueError(_not_valid()) from None
    return parts


def _check_parts(parts: SplitResult) -> None:
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http"):
        raise ValueError(_("Enter a URL that starts with https://."))
    if parts.username is not None or parts.password is not None:
        raise ValueError(_(
            "Enter the URL without a user name and password. The receiver knows deliveries by "
            "their signature."
        ))  # fmt: skip
    if parts.fragment:
        raise ValueError(_("Enter the URL without the part from # on: it is never sent."))
    if literal_address(host) is None and not _HOST.fullmatch(host):
        raise ValueError(_not_valid())
    if parts.port == 0:
        raise ValueError(_not_valid())


def _check_target(parts: SplitResult, allowed: Networks) -> None:
    """Networks that are not public, and http, only where they are allowed."""
    is_plain = parts.scheme == "http"
    address = literal_address(parts.hostname or "")
    if is_plain and not allowed:
        raise ValueError(_(
            "Enter a URL that starts with https://. For http in your own network, set "
            "WEBHOOK_ALLOWED_NETWORKS."
        ))  # fmt: skip
    if address is not None and not is_allowed(address, allowed, only_listed=is_plain):
        raise ValueError(
            _("%(address)s is not a public address. To allow it, add its network to "
              "WEBHOOK_ALLOWED_NETWORKS.") % {"address": address}
            if not is_plain
            else _("http reaches only the networks in WEBHOOK_ALLOWED_NETWORKS. Use https://.")
        )  # fmt: skip


def _not_valid() -> str:
    return _("Enter a valid URL, such as https://example.com/hooks.")
