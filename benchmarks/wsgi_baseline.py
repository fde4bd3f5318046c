"""The measuring stick: the same WSGI server with nothing but an answer.

`python -m benchmarks.wsgi_baseline PORT PROCESSES THREADS` serves it; a fourth word names another
application (module:name) to serve in the same way.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

BODY = b"hello"
BARE = "benchmarks.wsgi_baseline:application"


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    """Read what was sent and answer 200."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


def main() -> None:
    """Serve with the options that config.server.processes uses."""
    port, processes, threads = (int(argument) for argument in sys.argv[1:4])
    Granian(
        sys.argv[4] if len(sys.argv) > 4 else BARE,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=processes,
        blocking_threads=threads,
        backpressure=1024,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
