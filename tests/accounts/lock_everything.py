"""All acts, those of each module having named themselves in the table. Needs no pytest."""

from tests.accounts import lock_acts, lock_acts_of_operators, lock_acts_of_ways_in
from tests.accounts.lock_table import ACTS, PREPARATIONS, prepare

MODULES = (lock_acts, lock_acts_of_operators, lock_acts_of_ways_in)

__all__ = ["ACTS", "install", "prepare"]


def install() -> None:
    """Put what the acts need in the place of the directory and of the settings, in this process."""
    for preparation in PREPARATIONS:
        preparation()
