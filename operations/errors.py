"""Errors of backup, restore, upgrade, transfer and configuration as code."""

from core.errors import GatehouseError


class OperationError(GatehouseError):
    """The operation failed. `message` says why and what to do, and contains no secret."""


class SecretsReplaced(OperationError):
    """An interrupted restore was finished. This process has the old secrets and must restart."""

    def __init__(self) -> None:
        super().__init__("An interrupted restore has been finished.")
