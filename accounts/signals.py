"""Facts that upper rooms may listen to; past tense, never part of the flow."""

from django.dispatch import Signal

# sender: the model class. Sent after commit.
mail_queued = Signal()
address_requested = Signal()
# sender: User; kwargs: user, reason. Sent after commit of everything that makes a live credential
# weaker: disable, delete, role change, password change, sign-out everywhere.
access_changed = Signal()
# kwargs: scope, subjects. A limit was exceeded.
limit_exceeded = Signal()
