"""`python -m benchmarks [NAME ...]`: run the measurements and print one table.

With --strict it exits 1 when a figure misses its aim.
"""

import argparse
import os
import platform
import sys

from benchmarks.measures import MEASURES
from benchmarks.rows import Options, Row

WIDTHS = (38, 14, 14, 9, 12, 8)
HEADINGS = ("measured", "Gatehouse", "bare", "ratio", "aim", "verdict")


def main() -> int:
    """Parse, measure, print."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of each load")
    parser.add_argument("--clients", type=int, default=usual.clients, help="browsers at once")
    parser.add_argument("--stored", type=int, default=usual.stored, help="rows beside a figure")
    parser.add_argument("--database-url", default="", help="instead of SQLite; must be empty")
    parser.add_argument("--strict", action="store_true", help="exit 1 when an aim is missed")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASURES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options = Options(
        seconds=arguments.seconds,
        clients=arguments.clients,
        stored=arguments.stored,
        database_url=arguments.database_url,
    )
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {options.clients} browsers")
    print(_line(HEADINGS))
    print(_line(["-" * (width - 2) for width in WIDTHS]))
    rows = []
    for name in arguments.names or MEASURES:
        for row in MEASURES[name](options):
            rows.append(row)
            print(_line(_cells(row)), flush=True)
    return int(arguments.strict and any(row.aim and not row.reaches_aim for row in rows))


def _cells(row: Row) -> list[str]:
    sign = ">=" if row.more_is_better else "<="
    unit = "x" if row.is_ratio else f" {row.unit}"
    return [
        row.what,
        f"{row.value:.2f} {row.unit}",
        f"{row.bare:.2f} {row.unit}",
        f"{row.ratio:.3g}",
        f"{sign} {row.aim:g}{unit}" if row.aim else "",
        ("ok" if row.reaches_aim else "MISSED") if row.aim else "",
    ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "".join(
        f"{cell:<{width}}" if position in (0, 5) else f"{cell:>{width - 2}}  "
        for position, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
