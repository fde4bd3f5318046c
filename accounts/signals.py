"""Signals for other apps."""

from django.dispatch import Signal

# A request for mail was stored. sender: EmailRequest; kwargs: kind. Sent after commit.
address_requested = Signal()
# Live credentials of a user were revoked: the account was disabled or deleted, its role or password
# changed, or all its sessions ended. sender: User; kwargs: user, reason. Sent after commit.
access_changed = Signal()
# All credentials of a user are about to be revoked. sender: User; kwargs: user, after. Sent inside
# the transaction. Receivers return when the newest of their credentials was issued, if that is
# later than `after` because the clock of another node is ahead.
access_ending = Signal()
# An attempt exceeded a rate limit. sender: rate_limits.Limit; kwargs: limit, name, count, user (the
# signed-in user or None) and ip ("" if it is the address of an undeclared proxy).
limit_exceeded = Signal()
