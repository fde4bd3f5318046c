"""The one function that turns a request into the address of the client.

allauth, rate limits, bans and the audit log all call it, so that they cannot disagree.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http import HttpRequest

from core.web.local_peer import is_own_client

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_FORWARDED_ENTRIES = 32
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# Where the administrator's own proxy runs: this machine, containers, the local network.
OWN_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                 "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip
# Headers that proxies and tunnels add. Browsers and programs on this machine send none of them.
PROXY_PREFIXES = ("HTTP_X_FORWARDED", "HTTP_X_ORIGINAL", "HTTP_X_REAL", "HTTP_X_CLIENT",
                  "HTTP_X_CLUSTER", "HTTP_X_ENVOY", "HTTP_X_PROXY", "HTTP_X_REWRITE",
                  "HTTP_X_VARNISH", "HTTP_X_AMZN", "HTTP_CF_", "HTTP_CDN_", "HTTP_FLY_",
                  "HTTP_FASTLY", "HTTP_TAILSCALE", "HTTP_NGROK")  # fmt: skip
PROXY_HEADERS = frozenset(
    {"HTTP_FORWARDED", "HTTP_FORWARDED_FOR", "HTTP_VIA", "HTTP_TRUE_CLIENT_IP", "HTTP_CLIENT_IP",
     "HTTP_REMOTE_ADDR", "HTTP_REMOTE_USER", "HTTP_PROXY_CONNECTION", "HTTP_MAX_FORWARDS",
     "HTTP_X_REQUEST_START", "HTTP_X_SCHEME", "HTTP_X_HOST"}
)  # fmt: skip
# Clients choose the length of the header; longer ones are not cached.
MAX_CACHED_LENGTH = 200
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def parse_address(text: str) -> Address | None:
    """The address of a header entry, without port, brackets and zone; IPv4 in IPv6 is unwrapped."""
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


def resolve(peer: str, forwarded_for: str, networks: tuple[Network, ...], hops: int) -> str:
    """The client's address as text; "" only when the peer itself is unknown (a Unix socket)."""
    is_short = len(forwarded_for) <= MAX_CACHED_LENGTH
    return (_cached if is_short else _resolve)(peer, forwarded_for, networks, hops)


def _resolve(peer: str, forwarded_for: str, networks: tuple[Network, ...], hops: int) -> str:
    chain = trusted_proxy_chain(peer, forwarded_for, networks, hops)
    return str(chain[-1]) if chain else ""


_cached = lru_cache(maxsize=1024)(_resolve)


def trusted_proxy_chain(
    peer: str, forwarded_for: str, networks: Sequence[Network], hops: int
) -> tuple[Address, ...]:
    """The trusted addresses, from the peer to the client; () for an unknown peer.

    Reads X-Forwarded-For from the right. With `networks`, an entry is trusted when the address
    after it is a trusted proxy. With `hops` (and no networks), exactly that many are trusted. With
    neither, the header is ignored (ASVS 4.1.3). Reading stops before an invalid entry.
    """
    first = parse_address(peer)
    if first is None:
        return ()
    found = [first]
    for position, entry in enumerate(forwarded_entries(forwarded_for)):
        trusted = is_in(found[-1], networks) if networks else position < hops
        candidate = parse_address(entry) if trusted else None
        if candidate is None:
            break
        found.append(candidate)
    return tuple(found)


def forwarded_entries(forwarded_for: str) -> list[str]:
    """The entries of X-Forwarded-For from the right, at most MAX_FORWARDED_ENTRIES."""
    entries = forwarded_for.split(",")[-MAX_FORWARDED_ENTRIES:] if forwarded_for else []
    return entries[::-1]


def client_ip(request: HttpRequest) -> str:
    """The client's address. Trusts only TRUSTED_PROXIES, or TRUST_PROXY hops."""
    return resolve(
        request.META.get("REMOTE_ADDR", ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
        settings.TRUST_PROXY,
    )


def network_key(address: str) -> str:
    """The key under which a client is counted: the IPv4 address, or the /64 of an IPv6 address."""
    parsed = parse_address(address)
    if parsed is None:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_undeclared_proxy(request: HttpRequest) -> bool:
    """Whether the request comes through a proxy on an own network that no setting names.

    Then all clients share its address, and no limit or ban may count it. Clients from outside
    cannot fake this: only a private or loopback peer counts as such a proxy.
    """
    if settings.TRUSTED_PROXIES or settings.TRUST_PROXY:
        return False
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    if peer is not None and not is_in(peer, OWN_NETWORKS):
        return False
    return any(name in request.META for name in FORWARDING_HEADERS)


def is_localhost(request: HttpRequest) -> bool:
    """Whether the request comes from a user on this machine, without a proxy in between.

    A proxy on the same host also connects from loopback, so every trace of one means no: its
    headers, HTTP/1.0 or `Connection: close` (nginx sends both by default, browsers do not), a Host
    or Origin other than that of PUBLIC_URL, a public PUBLIC_URL. For a proxy without any trace the
    kernel is asked: it runs as another user, or listens for clients itself.
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
    # Django's development server does not set REMOTE_PORT; ours does.
    port = request.META.get("REMOTE_PORT")
    return port is None or is_own_client(peer, str(port), request.META["SERVER_PORT"])


def _says_proxy(request: HttpRequest) -> bool:
    """Whether anything in the request comes from a proxy and not from a client."""
    meta = request.META
    # Browsers do not connect to a Unix socket. config.server.raw_request sets this key.
    if "gatehouse.by_unix_socket" in meta:
        return True
    if meta.get("SERVER_PROTOCOL", "") in ("", "HTTP/1.0", "HTTP/0.9"):
        return True
    if "close" in meta.get("HTTP_CONNECTION", "").lower():
        return True
    return any(name in PROXY_HEADERS or name.startswith(PROXY_PREFIXES) for name in meta)


def _is_own_port(names: Sequence[SplitResult]) -> bool:
    """Whether all of them have the same port."""
    try:
        return len({name.port or (443 if name.scheme == "https" else 80) for name in names}) == 1
    except ValueError:
        return False


def is_from_foreign_page(request: HttpRequest) -> bool:
    """Whether a browser reports that a page of another site caused this request.

    False proves nothing: programs need not send these headers, and may send any value.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        return origin not in (*settings.CSRF_TRUSTED_ORIGINS, *settings.CORS_ALLOWED_ORIGINS)
    site = request.META.get("HTTP_SEC_FETCH_SITE", "none")
    return site not in ("none", "same-origin")


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == net.version and address in net for net in networks)
