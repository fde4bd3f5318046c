"""`python -m tests.soak --minutes 3 [--seed N]`: exits with 0 if every promise was kept."""

import argparse
import sys

from tests.soak.run import Plan, new_seed, soak


def main() -> int:
    """Run a soak test and print the broken promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults go on")
    parser.add_argument("--seed", type=int, default=None, help="the order of faults and stories")
    parser.add_argument(
        "--fault", action="append", default=[], help="run this fault only; may be repeated"
    )
    given = parser.parse_args()
    seed = new_seed() if given.seed is None else given.seed
    journal = soak(
        Plan(seed, given.minutes * 60, given.fault), lambda text: print(text, flush=True)
    )
    for text in journal.broken:
        print(f"BROKEN: {text}")
    print("All promises were kept." if not journal.broken else f"{len(journal.broken)} broken.")
    return 1 if journal.broken else 0


if __name__ == "__main__":
    sys.exit(main())
