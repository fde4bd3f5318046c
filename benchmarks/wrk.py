"""Load by wrk, which costs less than the server that it measures; our own browsers do not."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MISSING = "left out, wrk is not installed (Debian and Ubuntu: apt-get install wrk)"
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", re.MULTILINE)
RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)")
# Another credential for each request, from a file of one header line each.
EACH = """
local lines = {}
for line in io.lines("%s") do lines[#lines + 1] = line end
local at = 0
request = function()
  at = at %% #lines + 1
  local name, value = lines[at]:match("^(.-): (.*)$")
  wrk.headers[name] = value
  return wrk.format("GET")
end
"""


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """The request that is repeated. each: a file with one header line for each request."""

    path: str
    headers: tuple[str, ...] = field(default=(), repr=False)
    each: Path | None = None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """rate: answers a second; p50, p99: milliseconds."""

    rate: float
    p50: float
    p99: float


def best(heard: Sequence[Heard]) -> Heard:
    """The highest rate and the lowest times."""
    return Heard(
        max(each.rate for each in heard),
        min(each.p50 for each in heard),
        min(each.p99 for each in heard),
    )


def is_there() -> bool:
    return shutil.which("wrk") is not None


def load(request: BenchRequest, port: int, *, seconds: float, connections: int) -> Heard:
    """Ask over so many connections for so long. Raises RuntimeError for unexpected answers."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    for header in request.headers:
        command += ["-H", header]
    if request.each is not None:
        script = request.each.with_suffix(".lua")
        script.write_text(EACH % request.each)
        command += ["-s", str(script)]
    command.append(f"http://127.0.0.1:{port}{request.path}")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, refused = RATE.search(said), REFUSED.search(said)
    if rate is None or bool(refused) != request.is_refused:
        raise RuntimeError(f"{request.path}: unexpected answers\n{said}")
    times = {name: float(value) * MILLISECONDS[unit] for name, value, unit in LATENCY.findall(said)}
    return Heard(float(rate[1]), times["50"], times["99"])


def settled(request: BenchRequest, port: int, *, seconds: float, connections: int) -> Heard:
    """load() after a second that does not count."""
    load(request, port, seconds=1, connections=connections)
    return load(request, port, seconds=seconds, connections=connections)
