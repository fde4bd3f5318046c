"""Puts what was measured into the documentation: see --publish."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import load_average, memory_gigabytes, processor

DOCS = Path(__file__).parents[1] / "docs"


def publish(page: str, name: str, text: str) -> None:
    """Replace what stands between the two comments `name` of docs/`page`.

    Raises ValueError if the page does not have both of them.
    """
    path = DOCS / page
    whole = path.read_text()
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = whole.partition(begin)
    _old, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page} has no place for {name}")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def circumstances() -> str:
    """When and on what: one sentence without its end."""
    return (
        f"{datetime.now(UTC):%-d %B %Y}, {os.cpu_count()} cores ({processor()}),"
        f" {memory_gigabytes():.0f} GB, Python {platform.python_version()}; load average at the end"
        f" {load_average()}, of which the measurement makes about two"
    )


def table(headings: list[str], rows: list[list[str]]) -> str:
    """As Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
