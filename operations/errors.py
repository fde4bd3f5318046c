"""What stops a move, a backup, a restore or an upgrade."""

from core.errors import GatehouseError


class OperationError(GatehouseError):
    """It cannot be done, or was stopped; `message` says why and what to do. Holds no secret."""


class SecretsReplaced(OperationError):
    """A cut-off restore was finished; a process with the secrets from before it must not go on."""

    def __init__(self) -> None:
        super().__init__("A restore that was cut off has been finished.")
