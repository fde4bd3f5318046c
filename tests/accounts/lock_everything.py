"""All acts, those of each module having named themselves in the table. Needs no pytest."""

from tests.accounts import lock_acts, lock_acts_of_operators, lock_acts_of_ways_in
from tests.accounts.lock_table import ACTS, prepare

MODULES = (lock_acts, lock_acts_of_operators, lock_acts_of_ways_in)

__all__ = ["ACTS", "prepare"]
