"""Names of networks, and those that cannot be banned."""

import ipaddress

from django.conf import settings

from core.web.client_ip import Network, network_key, parse_address

UNKNOWN = "unknown"
# Loopback and unspecified addresses.
LOCAL_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text) for text in ("127.0.0.0/8", "0.0.0.0/32", "::/127")
)


def network_name(text: str) -> str:
    """The name under which an address is counted and banned: itself, or the /64 of IPv6.

    text: an address, or a name returned by this function. "" if it is not an address.
    """
    text = text.strip()
    if text.endswith("/64"):
        text = text.removesuffix("/64")
    name = network_key(text)
    return "" if name == UNKNOWN else name


def is_exempt(network: str) -> bool:
    """Is this network exempt from bans?

    Exempt are unknown networks, this machine itself (a proxy may run on it), trusted proxies, and
    the networks of MODERATION_ALLOWED_NETWORKS.
    """
    parsed = _parse(network)
    if parsed is None:
        return True
    exempt = (*LOCAL_NETWORKS, *settings.MODERATION_ALLOWED_NETWORKS, *settings.TRUSTED_PROXIES)
    # Networks of different IP versions never overlap.
    return any(parsed.overlaps(other) for other in exempt)


def _parse(network: str) -> Network | None:
    address = parse_address(network.removesuffix("/64"))
    if address is None:
        return None
    return ipaddress.ip_network((address, 32 if address.version == 4 else 64), strict=False)
