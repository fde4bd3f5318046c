"""Facts that upper rooms may listen to; past tense, never part of the flow."""

from django.dispatch import Signal

# sender: the model class. Sent after commit.
address_requested = Signal()
# sender: User; kwargs: user, reason. Sent after commit of everything that makes a live credential
# weaker: disable, delete, role change, password change, sign-out everywhere.
access_changed = Signal()
# sender: User; kwargs: user, after. Sent before everything issued to `user` ends, in the same
# transaction. A receiver answers when the newest of its credentials was issued, if after `after`:
# by a node whose clock was ahead.
access_ending = Signal()
# sender: limits.Limit; kwargs: limit (a Limit), name, count, user (who is signed in, or None) and
# ip ("" when it is that of a proxy which nobody declared). Sent for each try beyond a limit.
limit_exceeded = Signal()
