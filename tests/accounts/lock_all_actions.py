"""All acts, those of each module having named themselves in the table. Needs no pytest."""

from tests.accounts import lock_actions, lock_actions_of_administrators, lock_actions_of_sign_in
from tests.accounts.lock_table import ACTIONS, PREPARATIONS, prepare

MODULES = (lock_actions, lock_actions_of_administrators, lock_actions_of_sign_in)

__all__ = ["ACTIONS", "install", "prepare"]


def install() -> None:
    """Put what the acts need in the place of the directory and of the settings, in this process."""
    for preparation in PREPARATIONS:
        preparation()
