"""`python -m config.environment --write` makes the reference pages; `--check` finds stale ones."""

import argparse
import sys
from pathlib import Path

from config.environment.reference import pages, stale, write

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.environment", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="make the pages anew")
    action.add_argument("--check", action="store_true", help="exit 1 when a page is stale")
    options = parser.parse_args(arguments)
    if options.write:
        write(options.root)
        print(f"Written: {', '.join(str(path) for path in pages())}")  # noqa: T201 - a command
        return 0
    old = stale(options.root)
    if old:
        names = ", ".join(str(path) for path in old)
        text = f"Stale: {names}. Run python -m config.environment --write and commit the result."
        print(text, file=sys.stderr)  # noqa: T201 - a command
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
