"""Networks as people type them and rows store them. Pure."""

from collections.abc import Iterable
from ipaddress import ip_network

from django.utils.translation import gettext as _

MAX_NETWORKS = 100


def networks_of(texts: Iterable[str]) -> list[str]:
    """Networks without duplicates, such as 10.0.0.0/8. An address is a network of one.

    Raises ValueError with a message for the user.
    """
    found: list[str] = []
    for text in filter(None, (one.strip() for one in texts)):
        network = _network(text)
        if network not in found:
            found.append(network)
    if len(found) > MAX_NETWORKS:
        raise ValueError(_("At most %(most)d networks.") % {"most": MAX_NETWORKS})
    return found


def _network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            _(
                "“%(text)s” is not a network. Enter one on each line, such as 10.0.0.0/8 or "
                "2001:db8::/32."
            )
            % {"text": text[:50]}
        ) from None
    if "/" in text and str(network.network_address) != str(_address(text)):
        raise ValueError(
            _("“%(text)s” is one address in a network. Enter %(network)s for the network.")
            % {"text": text[:50], "network": network}
        )
    if network.version == 6 and network.network_address.ipv4_mapped:
        raise ValueError(_("“%(text)s”: enter the IPv4 network itself.") % {"text": text[:50]})
    return str(network)


def _address(text: str) -> object:
    return ip_network(text.partition("/")[0]).network_address
