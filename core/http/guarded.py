"""Connections that reach only public addresses, and networks that an administrator has allowed.

For URLs that a user has named. The name is resolved once, every address is checked, and the
connection goes to a checked address: a name that resolves differently the next moment (DNS
rebinding) reaches nothing else. TLS still verifies the name. Proxies of the environment are not
used, because they would resolve the name themselves. The whole exchange has one deadline.
"""

import http.client
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]
# Blocks of IPv6 whose last 32 bits are an IPv4 address: NAT64, and IPv4-compatible.
_EMBEDDING = (ip_network("64:ff9b::/96"), ip_network("::/96"))
# NAT64 of a site's own choice; the address inside may stand anywhere.
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
MAX_ADDRESSES = 8


class AddressRefused(OSError):
    """The host resolves to an address that is not allowed; `address` is that one."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is not a public address")
        self.address = address


def is_allowed(address: Address, allowed: Networks, *, only_listed: bool = False) -> bool:
    """Whether a request may go to this address. Pure.

    allowed: further networks. only_listed: public addresses are refused too, as for http.
    An IPv6 address that contains an IPv4 address is judged by both.
    """
    inner = _inner(address)
    if inner is not None and address not in _EMBEDDING[0]:
        return is_allowed(inner, allowed, only_listed=only_listed)
    if inner is not None and not is_allowed(inner, allowed, only_listed=only_listed):
        return False
    if any(address.version == each.version and address in each for each in allowed):
        return True
    return not only_listed and _is_public(address)


def _is_public(address: Address) -> bool:
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    if isinstance(address, IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64):
        return False
    # Of NAT64 the address inside has been checked.
    return address in _EMBEDDING[0] or (address.is_global and not is_special)


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, or None."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in block for block in _EMBEDDING) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    # Of Teredo the server and the client; the client is where packets go.
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, also as `2130706433` or `0x7f.1`; None for a name. Pure."""
    with suppress(ValueError):
        return ip_address(host.strip("[]"))
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(host))
    return None


def checked_addresses(host: str, port: int, allowed: Networks, *, only_listed: bool) -> list[Any]:
    """The addresses of `host` as getaddrinfo() returns them.

    Raises AddressRefused if one of them is not allowed, so that no second try reaches it.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_kind, address in found:
        text = str(address[0])
        if not is_allowed(ip_address(text), allowed, only_listed=only_listed):
            raise AddressRefused(text)
    return found[:MAX_ADDRESSES]


class Guard:
    """One exchange: which networks it may reach, and when it ends at the latest.

    seconds: for everything, from resolving the name to the last header. Close it afterwards.
    """

    def __init__(self, allowed: Iterable[IPv4Network | IPv6Network], seconds: float) -> None:
        self.allowed, self._end = tuple(allowed), time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._end

    def close(self) -> None:
        """Stop the deadline."""
        self._timer.cancel()

    def connect(self, host: str, port: int, *, timeout: float, is_plain: bool) -> socket.socket:
        """A connection to a checked address. Raises AddressRefused, OSError."""
        found = checked_addresses(host, port, self.allowed, only_listed=is_plain)
        errors: list[OSError] = []
        for family, kind, protocol, _name, address in found:
            connection = socket.socket(family, kind, protocol)
            self._sockets.append(connection)
            try:
                connection.settimeout(min(timeout, self._remaining()))
                connection.connect(address)
                connection.settimeout(timeout)
            except OSError as error:
                connection.close()
                errors.append(error)
            else:
                return connection
        raise errors[-1] if errors else OSError("the name has no address")

    def watch(self, connection: socket.socket) -> None:
        """End this connection at the deadline too; TLS wraps it in a new object."""
        self._sockets.append(connection)

    def _remaining(self) -> float:
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the exchange takes too long")
        return remaining

    def _cut(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Plain(http.client.HTTPConnection):
    def __init__(self, host: str, *, guard: Guard, **options: Any) -> None:
        super().__init__(host, **options)
        self._guard = guard

    def connect(self) -> None:
        self.sock = _connect(self, self._guard, is_plain=True)


class _Secure(http.client.HTTPSConnection):
    def __init__(self, host: str, *, guard: Guard, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(host, context=context, **options)
        self._guard, self._tls = guard, context

    def connect(self) -> None:
        plain = _connect(self, self._guard, is_plain=False)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise
        self._guard.watch(self.sock)


def _connect(
    connection: http.client.HTTPConnection, guard: Guard, *, is_plain: bool
) -> socket.socket:
    timeout = float(connection.timeout or 1)
    return guard.connect(connection.host, connection.port, timeout=timeout, is_plain=is_plain)


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens http and https through a Guard."""

    def __init__(self, guard: Guard, context: ssl.SSLContext) -> None:
        super().__init__()
        self._plain: Callable[..., Any] = partial(_Plain, guard=guard)
        self._secure: Callable[..., Any] = partial(_Secure, guard=guard, context=context)

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._plain, request)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._secure, request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


def handlers(guard: Guard, context: ssl.SSLContext) -> Sequence[urllib.request.BaseHandler]:
    """The handlers for http and https of an opener."""
    return [_Handler(guard, context)]
