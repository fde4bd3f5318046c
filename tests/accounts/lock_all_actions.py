"""All actions, which the modules register in the table. Needs no pytest."""

from tests.accounts import (
    lock_actions,
    lock_actions_of_administrators,
    lock_actions_of_apps,
    lock_actions_of_scim,
    lock_actions_of_sign_in,
)
from tests.accounts.lock_table import ACTIONS, PREPARATIONS, prepare

MODULES = (
    lock_actions,
    lock_actions_of_administrators,
    lock_actions_of_apps,
    lock_actions_of_scim,
    lock_actions_of_sign_in,
)

__all__ = ["ACTIONS", "install", "prepare"]


def install() -> None:
    """Replace the directory and settings in this process by what the actions need."""
    for preparation in PREPARATIONS:
        preparation()
