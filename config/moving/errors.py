"""What stops a move, a backup, a restore or an upgrade."""

from accounts.errors import GatehouseError


class MovingError(GatehouseError):
    """It cannot be done, or was stopped; `message` says why and what to do. Holds no secret."""
