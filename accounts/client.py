"""Who is calling: the one function that turns a request into a client address.

allauth, the limits, the audit log and later bans all call it, so that they cannot disagree.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http import HttpRequest

from accounts.local_peer import is_own_client

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_FORWARDED_ENTRIES = 32
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# Where a proxy of the own house stands: this machine, containers, the local network.
OWN_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                 "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip
# What proxies and tunnels add of their own; browsers and programs at this machine say none of it.
PROXY_PREFIXES = ("HTTP_X_FORWARDED", "HTTP_X_ORIGINAL", "HTTP_X_REAL", "HTTP_X_CLIENT",
                  "HTTP_X_CLUSTER", "HTTP_X_ENVOY", "HTTP_X_PROXY", "HTTP_X_REWRITE",
                  "HTTP_X_VARNISH", "HTTP_X_AMZN", "HTTP_CF_", "HTTP_CDN_", "HTTP_FLY_",
                  "HTTP_FASTLY", "HTTP_TAILSCALE", "HTTP_NGROK")  # fmt: skip
PROXY_HEADERS = frozenset(
    {"HTTP_FORWARDED", "HTTP_FORWARDED_FOR", "HTTP_VIA", "HTTP_TRUE_CLIENT_IP", "HTTP_CLIENT_IP",
     "HTTP_REMOTE_ADDR", "HTTP_REMOTE_USER", "HTTP_PROXY_CONNECTION", "HTTP_MAX_FORWARDS",
     "HTTP_X_REQUEST_START", "HTTP_X_SCHEME", "HTTP_X_HOST"}
)  # fmt: skip
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def parse_address(text: str) -> Address | None:
    """One address of a header entry: ports, brackets, zones are cut, IPv4-in-IPv6 unwrapped."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def resolve(peer: str, forwarded_for: str, networks: Sequence[Network], hops: int) -> str:
    """The client's address as text: "" only when the peer itself is unknown (a Unix socket)."""
    believed = walk(peer, forwarded_for, networks, hops)
    return str(believed[-1]) if believed else ""


def walk(
    peer: str, forwarded_for: str, networks: Sequence[Network], hops: int
) -> tuple[Address, ...]:
    """The addresses that are believed, from the peer to the client; () for an unknown peer.

    Walks X-Forwarded-For from the right. With `networks` an entry is skipped while it is a
    trusted proxy; with `hops` (and no networks) exactly that many are believed. With neither
    the header is ignored (ASVS 4.1.3). An unreadable entry ends the walk at the last good one.
    """
    first = parse_address(peer)
    if first is None:
        return ()
    found = [first]
    for position, entry in enumerate(forwarded_entries(forwarded_for)):
        believed = is_in(found[-1], networks) if networks else position < hops
        candidate = parse_address(entry) if believed else None
        if candidate is None:
            break
        found.append(candidate)
    return tuple(found)


def forwarded_entries(forwarded_for: str) -> list[str]:
    """The entries of X-Forwarded-For from the right, at most MAX_FORWARDED_ENTRIES."""
    entries = forwarded_for.split(",")[-MAX_FORWARDED_ENTRIES:] if forwarded_for else []
    return entries[::-1]


def client_ip(request: HttpRequest) -> str:
    """The client's address of this request; trusts only TRUSTED_PROXIES or TRUST_PROXY hops."""
    return resolve(
        request.META.get("REMOTE_ADDR", ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
        settings.TRUST_PROXY,
    )


def network_key(address: str) -> str:
    """The name under which a client is counted: IPv4 whole, IPv6 by its /64."""
    parsed = parse_address(address)
    if parsed is None:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_undeclared_proxy(request: HttpRequest) -> bool:
    """Does the request come through a proxy of the own network that no setting names?

    Then its address stands for everybody, and nothing may be held against it. Strangers from
    outside cannot claim it: only a private or loopback peer is believed to be one.
    """
    if settings.TRUSTED_PROXIES or settings.TRUST_PROXY:
        return False
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    if peer is not None and not is_in(peer, OWN_NETWORKS):
        return False
    return any(name in request.META for name in FORWARDING_HEADERS)


def is_this_machine(request: HttpRequest) -> bool:
    """Does the request come from a person at this very machine, with no proxy between?

    A proxy on the same host also connects from loopback, so whatever speaks of one says no: its
    headers, HTTP/1.0 and `Connection: close` (which nginx says where nothing is configured, and no
    browser), a Host or an Origin that is not the one of PUBLIC_URL, a public PUBLIC_URL. Of one
    that says nothing the kernel knows: it runs as another user, or serves others itself.
    """
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    if peer is None or not peer.is_loopback or settings.TRUSTED_PROXIES or settings.TRUST_PROXY:
        return False
    if not settings.PUBLIC_URL_IS_LOCAL or _says_proxy(request):
        return False
    names = [urlsplit(f"//{request.get_host()}")]
    names += [urlsplit(request.META[name]) for name in ("HTTP_ORIGIN", "HTTP_REFERER")
              if name in request.META]  # fmt: skip
    if not (all(name.hostname in LOOPBACK_NAMES for name in names) and _is_own_port(names)):
        return False
    # Django's own development server does not tell the port; ours and every other one do.
    port = request.META.get("REMOTE_PORT")
    return port is None or is_own_client(peer, str(port), request.META["SERVER_PORT"])


def _says_proxy(request: HttpRequest) -> bool:
    """Does anything in the request come from a proxy rather than from a client?"""
    meta = request.META
    # Nobody's browser comes by a Unix socket (config.rawrequest says that one did).
    if "gatehouse.by_unix_socket" in meta:
        return True
    if meta.get("SERVER_PROTOCOL", "") in ("", "HTTP/1.0", "HTTP/0.9"):
        return True
    if "close" in meta.get("HTTP_CONNECTION", "").lower():
        return True
    return any(name in PROXY_HEADERS or name.startswith(PROXY_PREFIXES) for name in meta)


def _is_own_port(names: Sequence[SplitResult]) -> bool:
    """Do all of them name one and the same port?"""
    try:
        return len({name.port or (443 if name.scheme == "https" else 80) for name in names}) == 1
    except ValueError:
        return False


def is_from_foreign_page(request: HttpRequest) -> bool:
    """Does a browser say that the page of another site caused this? Programs say nothing.

    No proof of the contrary: whoever writes the headers himself says what he likes.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        return origin not in (*settings.CSRF_TRUSTED_ORIGINS, *settings.CORS_ALLOWED_ORIGINS)
    site = request.META.get("HTTP_SEC_FETCH_SITE", "none")
    return site not in ("none", "same-origin")


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Is the address in one of the networks?"""
    return any(address.version == net.version and address in net for net in networks)
