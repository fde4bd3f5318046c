"""`python -m benchmarks.lists`: what each list and page takes with a million users, as Markdown.

It makes an instance in a temporary folder, or in --data-dir, which is kept and used again. With
--database-url the rows are in that database instead of SQLite; PostgreSQL has to run on this
machine, because the processor time of its processes counts, too.
"""

import argparse
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rows import folder
from benchmarks.servers import make_data
from devtools.servers.databases import InstanceData

LOAD = "from benchmarks.many_rows import load; load({users})"
MEASURE = "from benchmarks.list_times import measure; result = measure({wanted!r})"
PUBLIC_URL = "http://localhost:8000"
LOADED = "many-rows-loaded"


def main() -> int:
    """Make the instance if it is new, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, help="at least 10,000")
    parser.add_argument("--database-url", default="", help="instead of SQLite; must be empty")
    parser.add_argument("--data-dir", type=Path, help="made if it does not exist, and kept")
    parser.add_argument("--only", default="", help="pages whose list or name contains this")
    given = parser.parse_args()
    if given.users < 10_000:
        parser.error("--users: at least 10,000, because pages of some of them are opened")
    with folder() as temporary:
        place = given.data_dir or temporary
        place.mkdir(exist_ok=True)
        data = make_data(place, given.database_url)
        if not (place / LOADED).exists():
            data.shell(LOAD.format(users=given.users))
            (place / LOADED).touch()
        _print(given.users, data, _measured(data, given.only))
    return 0


def _measured(data: InstanceData, wanted: str) -> list[dict[str, Any]]:
    found = data.shell(MEASURE.format(wanted=wanted), PUBLIC_URL=PUBLIC_URL, LOG_LEVEL="warning")
    return [json.loads(line) for line in found]


def _print(users: int, data: InstanceData, times: Iterable[dict[str, Any]]) -> None:
    """One row for each list, with its slowest page; then all pages."""
    kind = data.url.partition(":")[0]
    today = datetime.now(UTC).date()
    print(f"{users:,} users, {kind}, {today}, {platform.machine()}, Python", end=" ")
    print(f"{platform.python_version()}; milliseconds: processor time (worst), wall clock\n")
    by_group: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in times:
        by_group[row["group"]].append(row)
    print("| list | pages | median page | slowest page | which |\n| --- | --- | --- | --- | --- |")
    for group, rows in by_group.items():
        rows.sort(key=lambda row: float(row["processor"]))
        middle, slowest = rows[len(rows) // 2], rows[-1]
        print(f"| {group} | {len(rows)} | {_ms(middle)} | {_ms(slowest)} | {slowest['name']} |")
    print("\n| page | milliseconds |\n| --- | --- |")
    for group, rows in by_group.items():
        for row in rows:
            print(f"| {group}: {row['name']} | {_ms(row)} |")


def _ms(row: dict[str, Any]) -> str:
    return f"{row['processor']:.0f} ({row['processor_worst']:.0f}), {row['wall']:.0f}"


if __name__ == "__main__":
    sys.exit(main())
