"""Requests of the live test to the address of an app: bounded, and blind for bodies.

The address is the one that an owner has stored, and no redirect is followed. Private networks are
allowed, because apps are there; link-local addresses are not, because cloud metadata is there and
no app. Only an administrator who has authenticated recently can start a test, and no byte of a
body is read, so a test tells no more than "something answers there".
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from ipaddress import ip_address

from django.conf import settings

from applications.addresses import Address, split_address

STEP_SECONDS = 5.0
# For all requests of one test.
TOTAL_SECONDS = 20.0
HTTPS = "https"
# Metadata of clouds outside of the link-local networks (AWS by IPv6, Alibaba).
METADATA = frozenset({"fd00:ec2::254", "100.100.100.200"})


class NoAnswer(Exception):
    """No answer came. kind: of KINDS. detail: what the network said."""

    KINDS = ("name", "forbidden", "refused", "timeout", "tls", "broken")

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers of an answer; the body was not read."""

    status: int
    headers: Message

    def get(self, name: str) -> str:
        """A header, "" without it."""
        return str(self.headers.get(name, ""))

    def has(self, name: str) -> bool:
        """Whether there is such a header, however empty."""
        return name in self.headers


@dataclass(slots=True)
class AppClient:
    """Sends requests to one app until the time is over."""

    url: str
    _end: float = field(default_factory=lambda: time.monotonic() + TOTAL_SECONDS)

    def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """One GET on a connection of its own. Raises NoAnswer."""
        address = split_address(self.url)
        seconds = min(STEP_SECONDS, self._end - time.monotonic())
        if seconds <= 0:
            raise NoAnswer("timeout")
        try:
            return _exchange(address, path, headers, seconds)
        except ssl.SSLError as error:
            raise NoAnswer("tls", getattr(error, "verify_message", "") or error.reason) from error
        except TimeoutError as error:
            raise NoAnswer("timeout") from error
        except ConnectionRefusedError as error:
            raise NoAnswer("refused") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer("broken", type(error).__name__) from error


def resolve(host: str, port: int) -> str:
    """The network address to connect to. Raises NoAnswer."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer("name") from error
    texts = [str(entry[4][0]) for entry in found]
    if any(map(_is_forbidden, texts)):
        raise NoAnswer("forbidden", texts[0])
    return texts[0]


def _is_forbidden(text: str) -> bool:
    """Whether no app can be there: link-local, multicast, or a service of a cloud."""
    address = ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or str(address) in METADATA
    )


def _exchange(address: Address, path: str, headers: Mapping[str, str], seconds: float) -> Answer:
    port = int(address.port or (443 if address.scheme == HTTPS else 80))
    plain = socket.create_connection((resolve(address.host, port), port), timeout=seconds)
    # Timeouts of a socket count each step; a server that sends a byte now and then has many.
    late = threading.Timer(seconds, _hang_up, [plain])
    late.daemon = True
    late.start()
    try:
        with plain, _secured(plain, address) as connected:
            client = http.client.HTTPConnection(address.host, port)
            client.sock = connected
            client.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": address.netloc, **headers}.items():
                client.putheader(name, value)
            client.endheaders()
            response = client.getresponse()
            return Answer(response.status, response.headers)
    finally:
        late.cancel()


def _secured(plain: socket.socket, address: Address) -> socket.socket:
    if address.scheme != HTTPS:
        return plain
    context = ssl.create_default_context()
    if settings.PROVIDER_CA_FILE:
        context.load_verify_locations(settings.PROVIDER_CA_FILE)
    return context.wrap_socket(plain, server_hostname=address.host.strip("[]"))


def _hang_up(plain: socket.socket) -> None:
    try:
        plain.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
