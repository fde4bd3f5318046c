"""Ask the server of this machine for /health/ready; for the HEALTHCHECK of the image.

It runs every ten seconds, so it imports little: no package, no Django, no HTTP library. Exits with
0 if the answer is 200, with 1 otherwise.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 4
UNIX = "unix:"
# Addresses that mean "every one of this machine".
ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here


def reachable(host: str) -> str:
    """The address at which this machine reaches a server that listens on `host`."""
    return ANY.get(host, host)


def _connect(host: str, port: int) -> socket.socket:
    if host.startswith(UNIX):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(host.removeprefix(UNIX))
        return connection
    return socket.create_connection((reachable(host), port), TIMEOUT_SECONDS)


def is_ready(host: str, port: int) -> bool:
    """Does the server that listens on this HOST and PORT answer 200? Raises OSError."""
    with _connect(host, port) as connection:
        connection.sendall(
            b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        with connection.makefile("rb") as answer:
            return answer.readline().split()[1:2] == [b"200"]


if __name__ == "__main__":
    try:
        sys.exit(not is_ready(os.environ.get("HOST", ""), int(os.environ.get("PORT") or "8000")))
    except OSError as error:
        sys.exit(f"/health/ready: {error}")
