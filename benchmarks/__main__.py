"""`python -m benchmarks [NAME ...]`: run the measurements and print one table.

Without names it ends within 15 minutes on a machine that does nothing else: short loads, up to 100
thousand rows, and not the two longest measurements. --long does everything, with a million rows.
With --strict it exits 1 when a figure misses its aim; with --save it keeps the table in
benchmarks/results/; with --publish it puts figures into the pages of docs/ that show them.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable

from benchmarks.results import Results
from benchmarks.rows import Options, Row
from benchmarks.suites import MEASURES

WIDTHS = (48, 14, 14, 9, 12, 8)
# Only with --long, unless they are named.
LONGEST = ("slow", "stock")
SHORT_SECONDS, LONG_SECONDS = 3.0, 10.0
SHORT_STORED, LONG_STORED = 100_000, 1_000_000
HEADINGS = ("measured", "figure", "bare", "ratio", "aim", "verdict")


def main() -> int:
    """Parse, measure, print."""
    arguments = _arguments()
    options = Options(
        seconds=arguments.seconds or (LONG_SECONDS if arguments.long else SHORT_SECONDS),
        clients=arguments.clients,
        stored=arguments.stored or (LONG_STORED if arguments.long else SHORT_STORED),
        database_url=arguments.database_url,
        is_long=arguments.long,
        events=arguments.events,
        is_published=arguments.publish,
    )
    usual = [name for name in MEASURES if arguments.long or name not in LONGEST]
    names = arguments.names or usual
    headline = f"{' '.join(names)}; {options.seconds:g} s a load, {options.clients} browsers"
    results = Results(arguments.save or "", options.database_url, headline)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {options.clients} browsers")
    rows: list[Row] = []

    def say(line: str) -> None:
        results.lines.append(line)
        print(line, flush=True)

    is_whole = False
    try:
        _measure(names, options, rows, say)
        is_whole = True
    finally:
        if arguments.save is not None:
            print(f"kept in {results.write(is_whole=is_whole)}", file=sys.stderr)
    return int(arguments.strict and any(row.aim and not row.reaches_aim for row in rows))


def _arguments() -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"of each load: {SHORT_SECONDS:g}, or {LONG_SECONDS:g} with --long",
    )
    parser.add_argument("--clients", type=int, default=usual.clients, help="browsers at once")
    parser.add_argument(
        "--stored",
        type=int,
        help=f"most rows beside one: {SHORT_STORED:,}, or {LONG_STORED:,} with --long",
    )
    parser.add_argument("--database-url", default="", help="instead of SQLite; must be empty")
    parser.add_argument("--long", action="store_true", help="also what takes more than minutes")
    parser.add_argument("--events", type=int, default=0, help="of growth: this many audit events")
    parser.add_argument("--publish", action="store_true", help="put the figures into docs/, too")
    parser.add_argument("--strict", action="store_true", help="exit 1 when an aim is missed")
    parser.add_argument(
        "--save",
        nargs="?",
        const="",
        metavar="MACHINE",
        help="keep the table in benchmarks/results/, named after the day and the machine",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASURES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return arguments


def _measure(
    names: list[str], options: Options, rows: list[Row], say: Callable[[str], None]
) -> None:
    say(_line(HEADINGS))
    say(_line(["-" * (width - 2) for width in WIDTHS]))
    begin = time.monotonic()
    for number, name in enumerate(names, 1):
        minutes, seconds = divmod(int(time.monotonic() - begin), 60)
        done = f"{number} of {len(names)}, after {minutes}:{seconds:02}"
        print(f"measuring: {name} ({done})", file=sys.stderr, flush=True)
        for row in MEASURES[name](options):
            rows.append(row)
            say(_line(_cells(row)))


def _cells(row: Row) -> list[str]:
    sign = ">=" if row.more_is_better else "<="
    unit = "x" if row.is_ratio else f" {row.unit}"
    return [
        row.what,
        f"{row.value:.2f} {row.unit}",
        f"{row.bare:.2f} {row.unit}",
        f"{row.ratio:.3g}",
        f"{sign} {round(row.aim, 2):g}{unit}" if row.aim else "",
        ("ok" if row.reaches_aim else "MISSED") if row.aim else "",
    ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "".join(
        f"{cell:<{width}}" if position in (0, 5) else f"{cell:>{width - 2}}  "
        for position, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
